//! Writes values as JSON, into a text of the caller, and takes the bytes out (REFERENCE 3.1).
//!
//! `serde_json` has no serializer without `std` that writes into a given buffer, and none that writes text, which need not
//! be looked through for whether it is any. The text is the same as its own,
//! but for bytes: they become attachments, and placeholders are left in their place.

use alloc::string::String;
use core::fmt::{self, Display, Write};

use bytes::Bytes;
use serde::ser::{Error, Serialize, Serializer};

use super::EncodeError;
use crate::socket::attachments::Gathered;
use crate::socket::compound::compound;
use crate::socket::json::plain;
use crate::socket::placeholder;

/// Serializes one value, or an argument list.
pub(super) struct Json<'a> {
    out: &'a mut String,
    /// Where bytes go; without it they are written as an array of numbers.
    attachments: Option<&'a mut Gathered>,
    place: Place,
}

/// What the value is to become.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    /// The arguments: a tuple is written without its brackets, and `()` not at all.
    Arguments,
    /// The key of an object, which is a string.
    Key,
    /// JSON in a string, to be written as it is.
    Raw,
    Value,
}

impl<'a> Json<'a> {
    /// A serializer of arguments, separated by commas.
    pub(super) const fn arguments(out: &'a mut String, attachments: &'a mut Gathered) -> Self {
        Self { out, attachments: Some(attachments), place: Place::Arguments }
    }

    /// A serializer of one value without attachments.
    pub(super) const fn value(out: &'a mut String) -> Self {
        Self { out, attachments: None, place: Place::Value }
    }

    /// Writes a token that is no string; as a key it needs quotes.
    #[inline]
    fn token(self, token: &str) -> Result<(), EncodeError> {
        if self.place == Place::Key {
            self.out.push('"');
            self.out.push_str(token);
            self.out.push('"');
        } else {
            self.out.push_str(token);
        }
        Ok(())
    }

    /// Refuses whatever cannot be a key.
    fn not_a_key(&self) -> Result<(), EncodeError> {
        if self.place == Place::Key { Err(EncodeError::custom("key must be a string")) } else { Ok(()) }
    }

    #[inline]
    fn open(self, open: &str, close: &'static str) -> Result<Compound<'a>, EncodeError> {
        self.not_a_key()?;
        self.out.push_str(open);
        let Self { out, attachments, .. } = self;
        Ok(Compound { out, attachments, close, first: true, place: Place::Value })
    }

    /// Opens the object around a variant with content.
    fn variant(self, variant: &str, open: &str, close: &'static str) -> Result<Compound<'a>, EncodeError> {
        self.not_a_key()?;
        self.out.push('{');
        write_string(self.out, variant);
        self.out.push(':');
        self.open(open, close)
    }
}

macro_rules! integers {
    ($($method:ident($type:ty))*) => {$(
        fn $method(self, value: $type) -> Result<(), EncodeError> {
            self.token(itoa::Buffer::new().format(value))
        }
    )*};
}

macro_rules! floats {
    ($($method:ident($type:ty))*) => {$(
        fn $method(self, value: $type) -> Result<(), EncodeError> {
            if value.is_finite() {
                self.token(zmij::Buffer::new().format_finite(value))
            } else {
                self.serialize_none()
            }
        }
    )*};
}

impl<'a> Serializer for Json<'a> {
    type Ok = ();
    type Error = EncodeError;
    type SerializeSeq = Compound<'a>;
    type SerializeTuple = Compound<'a>;
    type SerializeTupleStruct = Compound<'a>;
    type SerializeTupleVariant = Compound<'a>;
    type SerializeMap = Compound<'a>;
    type SerializeStruct = Compound<'a>;
    type SerializeStructVariant = Compound<'a>;

    integers! {
        serialize_i8(i8) serialize_i16(i16) serialize_i32(i32) serialize_i64(i64) serialize_i128(i128)
        serialize_u8(u8) serialize_u16(u16) serialize_u32(u32) serialize_u64(u64) serialize_u128(u128)
    }

    floats! { serialize_f32(f32) serialize_f64(f64) }

    fn serialize_bool(self, value: bool) -> Result<(), EncodeError> {
        self.token(if value { "true" } else { "false" })
    }

    fn serialize_char(self, value: char) -> Result<(), EncodeError> {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, value: &str) -> Result<(), EncodeError> {
        if self.place == Place::Raw {
            self.out.push_str(value);
        } else {
            write_string(self.out, value);
        }
        Ok(())
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<(), EncodeError> {
        self.not_a_key()?;
        let Some(attachments) = self.attachments else {
            return Self { attachments: None, ..self }.collect_seq(value);
        };
        placeholder::write(self.out, attachments.len());
        // Serde hands out a slice, whatever it was a slice of: this copy is the only one.
        attachments.push(Bytes::copy_from_slice(value));
        Ok(())
    }

    fn serialize_none(self) -> Result<(), EncodeError> {
        self.not_a_key()?;
        self.token("null")
    }

    fn serialize_some<T: Serialize + ?Sized>(mut self, value: &T) -> Result<(), EncodeError> {
        if self.place == Place::Arguments {
            self.place = Place::Value;
        }
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), EncodeError> {
        if self.place == Place::Arguments { Ok(()) } else { self.serialize_none() }
    }

    fn serialize_unit_struct(self, _name: &'static str) -> Result<(), EncodeError> {
        self.serialize_unit()
    }

    fn serialize_unit_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
    ) -> Result<(), EncodeError> {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        value: &T,
    ) -> Result<(), EncodeError> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), EncodeError> {
        let mut object = self.variant(variant, "", "}")?;
        object.value(value)?;
        object.close()
    }

    fn serialize_seq(self, _len: Option<usize>) -> Result<Compound<'a>, EncodeError> {
        self.open("[", "]")
    }

    fn serialize_tuple(self, _len: usize) -> Result<Compound<'a>, EncodeError> {
        if self.place == Place::Arguments { self.open("", "") } else { self.open("[", "]") }
    }

    fn serialize_tuple_struct(self, _name: &'static str, len: usize) -> Result<Compound<'a>, EncodeError> {
        self.serialize_tuple(len)
    }

    fn serialize_tuple_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        _len: usize,
    ) -> Result<Compound<'a>, EncodeError> {
        self.variant(variant, "[", "]}")
    }

    fn serialize_map(self, _len: Option<usize>) -> Result<Compound<'a>, EncodeError> {
        self.open("{", "}")
    }

    fn serialize_struct(self, name: &'static str, _len: usize) -> Result<Compound<'a>, EncodeError> {
        if let RAW_VALUE | RAW_NUMBER = name {
            return Ok(Compound { place: Place::Raw, ..self.open("", "")? });
        }
        self.open("{", "}")
    }

    fn serialize_struct_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        _len: usize,
    ) -> Result<Compound<'a>, EncodeError> {
        self.variant(variant, "{", "}}")
    }

    fn collect_str<T: Display + ?Sized>(self, value: &T) -> Result<(), EncodeError> {
        self.out.push('"');
        write!(Escaping(self.out), "{value}").map_err(EncodeError::custom)?;
        self.out.push('"');
        Ok(())
    }
}

/// An array or object that is being written.
pub(super) struct Compound<'a> {
    out: &'a mut String,
    attachments: Option<&'a mut Gathered>,
    close: &'static str,
    first: bool,
    /// What its values are: almost always values.
    place: Place,
}

impl Compound<'_> {
    #[inline]
    fn separate(&mut self) {
        if !self.first {
            self.out.push(',');
        }
        self.first = false;
    }

    #[inline]
    fn value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EncodeError> {
        let Self { out, attachments, place, .. } = self;
        value.serialize(Json { out, attachments: attachments.as_deref_mut(), place: *place })
    }

    #[inline]
    fn element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EncodeError> {
        self.separate();
        self.value(value)
    }

    fn key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), EncodeError> {
        self.separate();
        key.serialize(Json { out: self.out, attachments: None, place: Place::Key })?;
        self.out.push(':');
        Ok(())
    }

    fn field<T: Serialize + ?Sized>(&mut self, key: &str, value: &T) -> Result<(), EncodeError> {
        if self.place != Place::Raw {
            self.separate();
            write_string(self.out, key);
            self.out.push(':');
        }
        self.value(value)
    }

    #[inline]
    fn close(self) -> Result<(), EncodeError> {
        match self.close {
            "]" => self.out.push(']'), // without a call to copy it
            "}" => self.out.push('}'),
            close => self.out.push_str(close),
        }
        Ok(())
    }
}

compound!(Compound);

/// Appends a JSON string.
#[inline]
pub(super) fn write_string(out: &mut String, text: &str) {
    // Mostly nothing is to be escaped: three writes, and one look at the room for them.
    out.reserve(text.len() + 2);
    out.push('"');
    write_escaped(out, text);
    out.push('"');
}

#[inline]
fn write_escaped(out: &mut String, text: &str) {
    if plain(text.as_bytes()) == text.len() {
        out.push_str(text);
    } else {
        write_specials(out, text);
    }
}

fn write_specials(out: &mut String, mut rest: &str) {
    loop {
        let (plain, special) = rest.split_at(plain(rest.as_bytes()));
        out.push_str(plain);
        let mut chars = special.chars();
        let Some(special) = chars.next() else { return };
        match special {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\u{C}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            control => {
                let code = u32::from(control);
                out.push_str("\\u00");
                out.extend([code >> 4, code & 0xF].iter().filter_map(|&digit| char::from_digit(digit, 16)));
            }
        }
        rest = chars.as_str();
    }
}

struct Escaping<'a>(&'a mut String);

impl Write for Escaping<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        write_escaped(self.0, text);
        Ok(())
    }
}

/// The names under which `serde_json` hides text that is JSON already.
const RAW_VALUE: &str = "$serde_json::private::RawValue";
const RAW_NUMBER: &str = "$serde_json::private::Number";

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;
    use alloc::string::String;

    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn write<T: Serialize + ?Sized>(value: &T) -> String {
        let mut out = String::new();
        value.serialize(Json::value(&mut out)).unwrap();
        out
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
            "[\\x00-\\x30\\\\]*".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 30, 5, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                proptest::collection::btree_map(any::<String>(), inner, 0..5)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn the_text_is_that_of_serde_json(value in value()) {
            prop_assert_eq!(write(&value), serde_json::to_string(&value).unwrap());
        }

        #[test]
        fn numbers_and_keys_are_those_of_serde_json(
            float in any::<f32>(), wide in any::<i128>(), map in any::<BTreeMap<i32, Option<char>>>(),
        ) {
            let value = (float, wide, map);
            prop_assert_eq!(write(&value), serde_json::to_string(&value).unwrap());
        }
    }

    #[test]
    fn displayed_values_are_escaped() {
        struct Shown;

        impl Serialize for Shown {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(&format_args!("a\"{}", 1))
            }
        }

        assert_eq!(write(&Shown), r#""a\"1""#);
    }

    #[test]
    fn without_attachments_bytes_are_numbers() {
        assert_eq!(write(&Bytes::from_static(&[1, 255])), "[1,255]");
    }
}
