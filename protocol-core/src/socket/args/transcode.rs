//! Arguments of one encoding written in another: what a node does with a packet that it passes on.

use core::cell::Cell;
use core::fmt;

use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};
use serde::ser::{Error as _, SerializeMap, SerializeSeq, SerializeTuple};
use serde::{Deserializer, Serialize, Serializer};

use super::binary::Placeholders;
use super::{Args, JsonDeserializer, Raw};
use crate::socket::msgpack::Reader;

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
