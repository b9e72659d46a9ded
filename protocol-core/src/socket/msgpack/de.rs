//! Typed values straight from msgpack bytes that have been checked.

use alloc::boxed::Box;
use alloc::string::ToString;
use core::fmt::Display;

use serde::de::value::BorrowedStrDeserializer;
use serde::de::{DeserializeSeed, EnumAccess, MapAccess, SeqAccess, VariantAccess, Visitor};
use serde::{Deserializer, forward_to_deserialize_any};
use thiserror::Error;

use super::date::Iso;
use super::read::{Reader, Token};
use crate::socket::decode::{DecodeError, Fault};
use crate::socket::limits::Limits;

/// Why a value does not fit its type.
#[derive(Debug, Error)]
#[error("{0}")]
pub(crate) struct Error(Box<str>);

impl serde::de::Error for Error {
    fn custom<T: Display>(reason: T) -> Self {
        Self(reason.to_string().into())
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        serde::de::Error::custom(DecodeError::from(fault))
    }
}

macro_rules! numbers {
    ($($method:ident)*) => {$(
        /// A date is a number of milliseconds for those who want a number.
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            match self.peek()? {
                Token::Date(millis) => {
                    self.token()?;
                    visitor.visit_i64(millis)
                }
                _ => self.deserialize_any(visitor),
            }
        }
    )*};
}

impl<'de> Deserializer<'de> for &mut Reader<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.token()? {
            Token::Array(len) => {
                let mut elements = Elements { reader: self, left: len };
                let value = visitor.visit_seq(&mut elements)?;
                if elements.left > 0 {
                    return Err(serde::de::Error::invalid_length(len, &"fewer elements in array"));
                }
                Ok(value)
            }
            Token::Bin(bytes) => visitor.visit_borrowed_bytes(bytes),
            Token::Bool(value) => visitor.visit_bool(value),
            Token::Date(millis) => visitor.visit_string(Iso(millis).to_string()),
            Token::Float(value) => visitor.visit_f64(value),
            Token::Int(value) => visitor.visit_i64(value),
            Token::Map(len) => {
                let mut entries = Entries { reader: self, left: len };
                let value = visitor.visit_map(&mut entries)?;
                if entries.next()?.is_some() {
                    return Err(serde::de::Error::invalid_length(len, &"fewer elements in map"));
                }
                Ok(value)
            }
            Token::Nil | Token::Undefined => visitor.visit_unit(),
            Token::Str(text) => visitor.visit_borrowed_str(text),
            Token::Uint(value) => visitor.visit_u64(value),
        }
    }

    numbers! {
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128
        deserialize_f32 deserialize_f64
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.peek()? {
            Token::Nil | Token::Undefined => {
                self.token()?;
                visitor.visit_none()
            }
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.peek()? {
            Token::Str(name) => {
                self.token()?;
                visitor.visit_enum(BorrowedStrDeserializer::new(name))
            }
            Token::Map(1) => {
                self.token()?;
                visitor.visit_enum(Variant { reader: self })
            }
            _ => {
                Err(serde::de::Error::custom("invalid type: expected a variant's name or a map of one entry"))
            }
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.skip(0, Limits::NESTING_CAP)?;
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map struct identifier
    }
}

struct Elements<'a, 'de> {
    reader: &'a mut Reader<'de>,
    left: usize,
}

impl<'de> SeqAccess<'de> for Elements<'_, 'de> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        seed.deserialize(&mut *self.reader).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left)
    }
}

/// The entries of a map but for those that are `undefined`; how many those are is not known beforehand.
struct Entries<'a, 'de> {
    reader: &'a mut Reader<'de>,
    left: usize,
}

impl<'de> Entries<'_, 'de> {
    /// The key of the next entry.
    fn next(&mut self) -> Result<Option<&'de str>, Error> {
        while self.left > 0 {
            self.left -= 1;
            let Token::Str(key) = self.reader.token()? else {
                return Err(Fault::InvalidPayload.into());
            };
            if self.reader.peek()? != Token::Undefined {
                return Ok(Some(key));
            }
            self.reader.token()?;
        }
        Ok(None)
    }
}

impl<'de> MapAccess<'de> for Entries<'_, 'de> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        match self.next()? {
            Some(key) => seed.deserialize(Key(key)).map(Some),
            None => Ok(None),
        }
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Error> {
        seed.deserialize(&mut *self.reader)
    }
}

/// A key: in JavaScript it is text, whatever it may be here.
struct Key<'de>(&'de str);

macro_rules! parsed {
    ($($method:ident $visit:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            match self.0.parse() {
                Ok(value) => visitor.$visit(value),
                Err(_) => visitor.visit_borrowed_str(self.0),
            }
        }
    )*};
}

impl<'de> Deserializer<'de> for Key<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_borrowed_str(self.0)
    }

    parsed! {
        deserialize_bool visit_bool
        deserialize_i8 visit_i8 deserialize_i16 visit_i16 deserialize_i32 visit_i32
        deserialize_i64 visit_i64 deserialize_i128 visit_i128
        deserialize_u8 visit_u8 deserialize_u16 visit_u16 deserialize_u32 visit_u32
        deserialize_u64 visit_u64 deserialize_u128 visit_u128
        deserialize_f32 visit_f32 deserialize_f64 visit_f64
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_enum(BorrowedStrDeserializer::new(self.0))
    }

    forward_to_deserialize_any! {
        char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

/// A variant with content: a map of one entry.
struct Variant<'a, 'de> {
    reader: &'a mut Reader<'de>,
}

impl<'de> EnumAccess<'de> for Variant<'_, 'de> {
    type Error = Error;
    type Variant = Self;

    fn variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<(T::Value, Self), Error> {
        let variant = seed.deserialize(&mut *self.reader)?;
        Ok((variant, self))
    }
}

impl<'de> VariantAccess<'de> for Variant<'_, 'de> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        serde::Deserialize::deserialize(self.reader)
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Error> {
        seed.deserialize(self.reader)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _len: usize, visitor: V) -> Result<V::Value, Error> {
        self.reader.deserialize_seq(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.reader.deserialize_map(visitor)
    }
}
