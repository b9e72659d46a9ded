//! Arguments whose types are not known beforehand: any value, any number of them.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::marker::PhantomData;

use bytes::Bytes;
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::ser::SerializeTuple;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Number;

/// Any value an argument can have: JSON, and bytes, which `serde_json::Value` has no place for.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Value {
    /// `null`, and `undefined` where the codec knows it.
    #[default]
    Null,
    /// A boolean.
    Bool(bool),
    /// A number.
    Number(Number),
    /// Text.
    String(String),
    /// An attachment.
    Binary(Bytes),
    /// A list.
    Array(Vec<Self>),
    /// Named values, in the order in which they came: JavaScript keeps it, and people see it.
    Object(Vec<(String, Self)>),
}

impl Value {
    /// The member of an object with this name; the last one counts where there are several.
    pub fn get(&self, name: &str) -> Option<&Self> {
        let Self::Object(members) = self else { return None };
        members.iter().rev().find(|(member, _)| member == name).map(|(_, value)| value)
    }

    /// Whether there are bytes in it.
    pub fn has_binary(&self) -> bool {
        match self {
            Self::Binary(_) => true,
            Self::Array(values) => values.iter().any(Self::has_binary),
            Self::Object(members) => members.iter().any(|(_, value)| value.has_binary()),
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::String(_) => false,
        }
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_none(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Number(value) => value.serialize(serializer),
            Self::String(value) => serializer.serialize_str(value),
            Self::Binary(value) => serializer.serialize_bytes(value),
            Self::Array(values) => serializer.collect_seq(values),
            Self::Object(members) => {
                serializer.collect_map(members.iter().map(|(name, value)| (name, value)))
            }
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.into()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_bytes<E>(self, value: &[u8]) -> Result<Value, E> {
        Ok(Value::Binary(Bytes::copy_from_slice(value)))
    }

    fn visit_byte_buf<E>(self, value: Vec<u8>) -> Result<Value, E> {
        Ok(Value::Binary(value.into()))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        Value::deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = seq.next_element()? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(Value::Object(members))
    }
}

/// As many arguments as there are, each a `T`: JavaScript's `...args`.
///
/// ```
/// # use socketio_core::socket::{Codec, Nsp, Value, Variadic};
/// let args = Variadic(vec![Value::Bool(true), Value::Null]);
/// let packet = Codec::Text.event(&Nsp::ROOT, None, "many", &args)?;
/// assert_eq!(packet.head().len(), br#"42["many",true,null]"#.len());
/// # Ok::<(), socketio_core::socket::EncodeError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Variadic<T>(pub Vec<T>);

/// The length of a tuple that is as long as there are arguments.
pub(super) const VARIADIC: usize = usize::MAX;

impl<T: Serialize> Serialize for Variadic<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut tuple = serializer.serialize_tuple(self.0.len())?;
        self.0.iter().try_for_each(|value| tuple.serialize_element(value))?;
        tuple.end()
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Variadic<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_tuple(VARIADIC, VariadicVisitor(PhantomData))
    }
}

struct VariadicVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for VariadicVisitor<T> {
    type Value = Variadic<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("arguments")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Variadic<T>, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = seq.next_element()? {
            values.push(value);
        }
        Ok(Variadic(values))
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;
    use crate::engine::packet::{Frame, Message};
    use crate::socket::{Body, Codec, Decoder, Limits, Nsp};

    fn there_and_back(args: &Variadic<Value>) -> Variadic<Value> {
        let encoded = Codec::Text.event(&Nsp::ROOT, None, "x", args).unwrap();
        let mut decoder = Decoder::new(Codec::Text, Limits::default());
        let mut packet = None;
        for frame in encoded.frames() {
            let message = match frame {
                Frame::Text(text) => Message::Text(text.slice_ref(&text[1..])),
                Frame::Binary(bytes) => Message::Binary(bytes),
            };
            packet = decoder.push(message).unwrap();
        }
        let Body::Event(event) = packet.unwrap().body else { panic!("not an event") };
        event.args().decode().unwrap()
    }

    #[test]
    fn any_value_at_any_depth_survives() {
        let deep = Value::Array(vec![
            Value::Object([("b".into(), Value::Binary(Bytes::from_static(b"\x01\x02")))].into()),
            Value::Number((-7).into()),
            Value::Number(Number::from_f64(1.5).unwrap()),
        ]);
        let args = Variadic(vec![Value::Null, Value::Bool(true), Value::String("\u{20AC}".into()), deep]);
        assert_eq!(there_and_back(&args), args);
    }

    #[test]
    fn no_arguments_are_none_and_not_a_missing_one() {
        assert_eq!(there_and_back(&Variadic(vec![])), Variadic(vec![]));
    }
}
