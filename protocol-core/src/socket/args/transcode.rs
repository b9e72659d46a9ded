//! Arguments of one encoding written in another: what a node does with a packet that it passes on.

use alloc::string::ToString;
use core::cell::Cell;
use core::fmt;

use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};
use serde::ser::{Error as _, SerializeMap, SerializeSeq, SerializeTuple};
use serde::{Deserializer, Serialize, Serializer};

use super::binary::Placeholders;
use super::{Args, ArgsError, JsonDeserializer, Raw};
use crate::AckId;
use crate::socket::msgpack::Reader;
use crate::socket::{Codec, EncodeError, Event, Nsp};

impl Serialize for Args {
    /// A tuple of the arguments, which the encoder takes for an argument list; attachments are bytes. Where the
    /// encoding stays the same, [`Codec::event_raw`](crate::socket::Codec::event_raw) is much cheaper.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut tuple = serializer.serialize_tuple(self.len())?;
        for argument in self {
            tuple.serialize_element(&Argument { args: self, argument })?;
        }
        tuple.end()
    }
}

impl Args {
    /// The argument list that `args` stands for when it is sent: a tuple for several, `()` for none.
    ///
    /// # Errors
    /// [`EncodeError::Serialize`].
    pub fn encode<T: Serialize + ?Sized>(args: &T) -> Result<Self, EncodeError> {
        let encoded = Codec::Text.ack(&Nsp::ROOT, AckId(0), args)?;
        encoded.to_ack_args(Codec::Text).ok_or_else(|| EncodeError::custom("too deeply nested"))
    }

    /// One argument, taken from wherever `from` reads; bytes become its attachments.
    pub(crate) fn single<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Self::encode(&(Once(Cell::new(Some(from))),)).map_err(D::Error::custom)
    }

    /// What is left of a sequence, each element an argument.
    pub(crate) fn rest<'de, A: SeqAccess<'de>>(seq: A) -> Result<Self, A::Error> {
        Self::encode(&Rest(Cell::new(Some(seq)))).map_err(A::Error::custom)
    }

    /// Reads the first argument with a seed.
    pub(crate) fn read_first<'de, S: DeserializeSeed<'de>>(
        &'de self,
        seed: S,
    ) -> Result<S::Value, ArgsError> {
        let invalid =
            |reason: &dyn fmt::Display| ArgsError::Invalid { argument: 1, reason: reason.to_string().into() };
        match self.iter().next() {
            None => Err(ArgsError::Missing { argument: 1 }),
            Some(Raw::Json(text)) => {
                let mut json = JsonDeserializer::from_str(text);
                seed.deserialize(Placeholders::new(&mut json, self.attachments()))
                    .map_err(|error| invalid(&error))
            }
            Some(Raw::Msgpack(bytes)) => {
                seed.deserialize(&mut Reader::new(bytes)).map_err(|error| invalid(&error))
            }
        }
    }
}

/// Arguments with one more text behind them.
pub(crate) struct Followed<'a>(pub(crate) &'a Args, pub(crate) &'a str);

impl Serialize for Followed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(args, last) = self;
        let mut tuple = serializer.serialize_tuple(args.len() + 1)?;
        for argument in *args {
            tuple.serialize_element(&Argument { args, argument })?;
        }
        tuple.serialize_element(last)?;
        tuple.end()
    }
}

/// An event as a list, its name first.
pub(crate) struct Listed<'a>(pub(crate) &'a Event);

impl Serialize for Listed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let args = self.0.args();
        let mut seq = serializer.serialize_seq(Some(args.len() + 1))?;
        seq.serialize_element(self.0.name())?;
        for argument in args {
            seq.serialize_element(&Argument { args, argument })?;
        }
        seq.end()
    }
}

/// The first argument as a value, if there is one.
pub(crate) struct First<'a>(pub(crate) &'a Args);

impl Serialize for First<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.iter().next() {
            Some(argument) => Argument { args: self.0, argument }.serialize(serializer),
            None => serializer.serialize_none(),
        }
    }
}

/// A sequence that is serialized once, as a tuple.
struct Rest<A>(Cell<Option<A>>);

impl<'de, A: SeqAccess<'de>> Serialize for Rest<A> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut seq = self.0.take().ok_or_else(|| S::Error::custom("serialized twice"))?;
        // Text, which this is written as, needs no length beforehand.
        let mut out = serializer.serialize_tuple(0)?;
        while seq.next_element_seed(TupleElement(&mut out)).map_err(S::Error::custom)?.is_some() {}
        out.end()
    }
}

struct Argument<'a> {
    args: &'a Args,
    argument: Raw<'a>,
}

impl Serialize for Argument<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.argument {
            Raw::Json(text) => {
                let mut json = JsonDeserializer::from_str(text);
                transcode(Placeholders::new(&mut json, self.args.attachments()), serializer)
            }
            Raw::Msgpack(bytes) => transcode(&mut Reader::new(bytes), serializer),
        }
    }
}

fn transcode<'de, D: Deserializer<'de>, S: Serializer>(from: D, to: S) -> Result<S::Ok, S::Error> {
    from.deserialize_any(Transcode(to)).map_err(S::Error::custom)
}

/// Serializes whatever it visits.
struct Transcode<S>(S);

macro_rules! visit_scalars {
    ($($visit:ident $serialize:ident($type:ty))*) => {$(
        fn $visit<E: serde::de::Error>(self, value: $type) -> Result<S::Ok, E> {
            self.0.$serialize(value).map_err(E::custom)
        }
    )*};
}

impl<'de, S: Serializer> Visitor<'de> for Transcode<S> {
    type Value = S::Ok;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    visit_scalars! {
        visit_bool serialize_bool(bool)
        visit_i64 serialize_i64(i64)
        visit_u64 serialize_u64(u64)
        visit_f64 serialize_f64(f64)
        visit_str serialize_str(&str)
        visit_bytes serialize_bytes(&[u8])
    }

    fn visit_none<E: serde::de::Error>(self) -> Result<S::Ok, E> {
        self.0.serialize_none().map_err(E::custom)
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<S::Ok, E> {
        self.0.serialize_unit().map_err(E::custom)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<S::Ok, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<S::Ok, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<S::Ok, A::Error> {
        let mut out = self.0.serialize_seq(seq.size_hint()).map_err(A::Error::custom)?;
        while seq.next_element_seed(Element(&mut out))?.is_some() {}
        out.end().map_err(A::Error::custom)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<S::Ok, A::Error> {
        let mut out = self.0.serialize_map(map.size_hint()).map_err(A::Error::custom)?;
        while map.next_key_seed(Key(&mut out))?.is_some() {
            map.next_value_seed(Value(&mut out))?;
        }
        out.end().map_err(A::Error::custom)
    }
}

macro_rules! seeds {
    ($($seed:ident $part:ident $method:ident)*) => {$(
        struct $seed<'a, S>(&'a mut S);

        impl<'de, S: $part> DeserializeSeed<'de> for $seed<'_, S> {
            type Value = ();

            fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
                self.0.$method(&Once(Cell::new(Some(deserializer)))).map_err(D::Error::custom)
            }
        }
    )*};
}

seeds! {
    Element SerializeSeq serialize_element
    TupleElement SerializeTuple serialize_element
    Key SerializeMap serialize_key
    Value SerializeMap serialize_value
}

/// A deserializer that is serialized once: `Serialize` has only a reference to give.
struct Once<D>(Cell<Option<D>>);

impl<'de, D: Deserializer<'de>> Serialize for Once<D> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let from = self.0.take().ok_or_else(|| S::Error::custom("serialized twice"))?;
        transcode(from, serializer)
    }
}
