//! What arguments can be turned into: any deserializable type, or themselves.

use serde::de::DeserializeOwned;

use super::{Args, ArgsError};

/// What a handler or an acknowledgement takes: any type that deserializes, by the rule of [`Args::decode`], or [`Args`]
/// for the raw arguments, to look at them one by one or to pass them on. Half of a surrogate pair, which JavaScript can put
/// into a string, is U+FFFD in a type and what it was in [`Args`].
#[diagnostic::on_unimplemented(
    message = "arguments cannot be decoded into `{Self}`",
    note = "take a type that implements `serde::Deserialize` and borrows nothing (a tuple for several arguments), or `Args`"
)]
pub trait FromArgs: Sized {
    /// Decodes the arguments.
    ///
    /// # Errors
    /// When they are something else.
    fn from_args(args: &Args) -> Result<Self, ArgsError>;
}

impl<T: DeserializeOwned> FromArgs for T {
    #[inline(always)] // as `Args::decode`
    fn from_args(args: &Args) -> Result<Self, ArgsError> {
        match args.decode() {
            Ok(value) => Ok(value),
            Err(error) => decode_mended(args, error),
        }
    }
}

#[cold]
fn decode_mended<T: DeserializeOwned>(args: &Args, error: ArgsError) -> Result<T, ArgsError> {
    match args.mended() {
        // A copy, of which nothing can be borrowed.
        Some(mended) => mended.decode(),
        None => Err(error),
    }
}

impl FromArgs for Args {
    fn from_args(args: &Args) -> Result<Self, ArgsError> {
        Ok(args.clone())
    }
}
