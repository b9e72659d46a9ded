//! A deserializer around `serde_json`'s that puts attachments where their placeholders are.
//!
//! Types that ask for bytes, and types that take anything, are looked at closely; all others go straight through.

use alloc::borrow::Cow;
use alloc::string::String;
use core::fmt;

use bytes::Bytes;
use serde::de::value::{BorrowedStrDeserializer, StringDeserializer};
use serde::de::{
    DeserializeSeed, EnumAccess, Error, IgnoredAny, MapAccess, SeqAccess, VariantAccess, Visitor,
};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::socket::placeholder;

/// The name by which `serde_json` knows its own `RawValue`. It must see the visitor of that type itself.
pub(super) const RAW_VALUE: &str = "$serde_json::private::RawValue";

/// The name under which a placeholder keeps its mark.
const MARK: &str = "_placeholder";

/// Something of serde's, and the attachments that belong into what it makes.
pub(super) struct Placeholders<'de, T> {
    inner: T,
    attachments: &'de [Bytes],
}

impl<'de, T> Placeholders<'de, T> {
    pub(super) const fn new(inner: T, attachments: &'de [Bytes]) -> Self {
        Self { inner, attachments }
    }

    const fn with<U>(&self, inner: U) -> Placeholders<'de, U> {
        Placeholders { inner, attachments: self.attachments }
    }
}

/// The attachment that a placeholder stands for.
fn attachment<E: Error>(attachments: &[Bytes], num: usize) -> Result<&Bytes, E> {
    attachments.get(num).ok_or_else(|| E::custom("illegal placeholder"))
}

macro_rules! untouched {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
            self.inner.$method(visitor)
        }
    )*};
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Placeholders<'de, D> {
    type Error = D::Error;

    untouched! {
        deserialize_bool
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128
        deserialize_f32 deserialize_f64 deserialize_char deserialize_str deserialize_string
        deserialize_unit deserialize_identifier deserialize_ignored_any
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        let visitor = AnyVisitor(self.with(visitor));
        self.inner.deserialize_any(visitor)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        // Whoever asks for bytes mostly gets an attachment: its placeholder is looked at as a whole.
        let value = <&RawValue>::deserialize(self.inner)?;
        match placeholder::canonical(value.get().as_bytes()) {
            Some((num, _)) => visitor.visit_borrowed_bytes(attachment(self.attachments, num)?),
            None => {
                let mut inner = serde_json::Deserializer::from_str(value.get());
                let value = Placeholders::new(&mut inner, self.attachments);
                value.deserialize_any(visitor).map_err(D::Error::custom)
            }
        }
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        let visitor = self.with(visitor);
        self.inner.deserialize_option(visitor)
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.inner.deserialize_unit_struct(name, visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        if name == RAW_VALUE {
            return self.inner.deserialize_newtype_struct(name, visitor);
        }
        let visitor = self.with(visitor);
        self.inner.deserialize_newtype_struct(name, visitor)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        let visitor = self.with(visitor);
        self.inner.deserialize_seq(visitor)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, D::Error> {
        let visitor = self.with(visitor);
        self.inner.deserialize_tuple(len, visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        let visitor = self.with(visitor);
        self.inner.deserialize_tuple_struct(name, len, visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        let visitor = self.with(visitor);
        self.inner.deserialize_map(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        let visitor = self.with(visitor);
        self.inner.deserialize_struct(name, fields, visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        let visitor = self.with(visitor);
        self.inner.deserialize_enum(name, variants, visitor)
    }

    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }
}

macro_rules! visit_scalars {
    ($visitor:ident: $($method:ident($type:ty))*) => {$(
        fn $method<E: Error>(self, value: $type) -> Result<V::Value, E> {
            self.$visitor().$method(value)
        }
    )*};
}

/// What both visitors pass on: scalars as they are, and everything that contains something wrapped.
macro_rules! visit_all_but_maps {
    () => {
        type Value = V::Value;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            self.wrapped().inner.expecting(f)
        }

        visit_scalars! {
            visitor:
            visit_bool(bool)
            visit_i8(i8) visit_i16(i16) visit_i32(i32) visit_i64(i64) visit_i128(i128)
            visit_u8(u8) visit_u16(u16) visit_u32(u32) visit_u64(u64) visit_u128(u128)
            visit_f32(f32) visit_f64(f64) visit_char(char)
            visit_str(&str) visit_borrowed_str(&'de str) visit_string(String)
            visit_bytes(&[u8]) visit_borrowed_bytes(&'de [u8]) visit_byte_buf(alloc::vec::Vec<u8>)
        }

        fn visit_none<E: Error>(self) -> Result<V::Value, E> {
            self.visitor().visit_none()
        }

        fn visit_unit<E: Error>(self) -> Result<V::Value, E> {
            self.visitor().visit_unit()
        }

        fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<V::Value, D::Error> {
            let deserializer = self.wrapped().with(deserializer);
            self.visitor().visit_some(deserializer)
        }

        fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<V::Value, D::Error> {
            let deserializer = self.wrapped().with(deserializer);
            self.visitor().visit_newtype_struct(deserializer)
        }

        fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<V::Value, A::Error> {
            let seq = self.wrapped().with(seq);
            self.visitor().visit_seq(seq)
        }

        fn visit_enum<A: EnumAccess<'de>>(self, data: A) -> Result<V::Value, A::Error> {
            let data = self.wrapped().with(data);
            self.visitor().visit_enum(data)
        }
    };
}

impl<'de, V> Placeholders<'de, V> {
    fn wrapped(&self) -> &Self {
        self
    }

    fn visitor(self) -> V {
        self.inner
    }
}

/// The visitor of a type that has said what it wants, and that is not bytes.
impl<'de, V: Visitor<'de>> Visitor<'de> for Placeholders<'de, V> {
    visit_all_but_maps!();

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<V::Value, A::Error> {
        let map = self.with(map);
        self.inner.visit_map(map)
    }
}

/// The visitor of a type that takes bytes, or anything: a map may be a placeholder.
struct AnyVisitor<'de, V>(Placeholders<'de, V>);

impl<'de, V> AnyVisitor<'de, V> {
    fn wrapped(&self) -> &Placeholders<'de, V> {
        &self.0
    }

    fn visitor(self) -> V {
        self.0.inner
    }
}

impl<'de, V: Visitor<'de>> Visitor<'de> for AnyVisitor<'de, V> {
    visit_all_but_maps!();

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<V::Value, A::Error> {
        let Placeholders { inner: visitor, attachments } = self.0;
        let mut first = First { key: map.next_key()?, value: None };
        if let Some(Key(Cow::Borrowed(MARK))) = first.key {
            let value: &RawValue = map.next_value()?;
            if value.get() == "true" {
                // The decoder has brought placeholders into the usual spelling and has checked their indices.
                map.next_key::<IgnoredAny>()?;
                let num: usize = map.next_value()?;
                let attachment = attachment(attachments, num)?;
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                return visitor.visit_borrowed_bytes(attachment);
            }
            first.value = Some(value);
        }
        visitor.visit_map(Placeholders { inner: Peeked { first, map }, attachments })
    }
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Placeholders<'de, A> {
    type Error = A::Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, A::Error> {
        let seed = self.with(seed);
        self.inner.next_element_seed(seed)
    }

    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint()
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Placeholders<'de, A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        self.inner.next_key_seed(seed)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, A::Error> {
        let seed = self.with(seed);
        self.inner.next_value_seed(seed)
    }

    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint()
    }
}

impl<'de, T: DeserializeSeed<'de>> DeserializeSeed<'de> for Placeholders<'de, T> {
    type Value = T::Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T::Value, D::Error> {
        let deserializer = self.with(deserializer);
        self.inner.deserialize(deserializer)
    }
}

impl<'de, A: EnumAccess<'de>> EnumAccess<'de> for Placeholders<'de, A> {
    type Error = A::Error;
    type Variant = Placeholders<'de, A::Variant>;

    fn variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<(T::Value, Self::Variant), A::Error> {
        let attachments = self.attachments;
        let (value, inner) = self.inner.variant_seed(seed)?;
        Ok((value, Placeholders { inner, attachments }))
    }
}

impl<'de, A: VariantAccess<'de>> VariantAccess<'de> for Placeholders<'de, A> {
    type Error = A::Error;

    fn unit_variant(self) -> Result<(), A::Error> {
        self.inner.unit_variant()
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, A::Error> {
        let seed = self.with(seed);
        self.inner.newtype_variant_seed(seed)
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, A::Error> {
        let visitor = self.with(visitor);
        self.inner.tuple_variant(len, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        let visitor = self.with(visitor);
        self.inner.struct_variant(fields, visitor)
    }
}

/// A map whose first key has been looked at.
struct Peeked<'de, A> {
    first: First<'de>,
    map: A,
}

struct First<'de> {
    key: Option<Key<'de>>,
    /// Its value, if that has been looked at too.
    value: Option<&'de RawValue>,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Peeked<'de, A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        match self.first.key.take() {
            Some(Key(Cow::Borrowed(key))) => seed.deserialize(BorrowedStrDeserializer::new(key)).map(Some),
            Some(Key(Cow::Owned(key))) => seed.deserialize(StringDeserializer::new(key)).map(Some),
            None => self.map.next_key_seed(seed),
        }
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, A::Error> {
        match self.first.value.take() {
            Some(value) => {
                let mut deserializer = serde_json::Deserializer::from_str(value.get());
                seed.deserialize(&mut deserializer).map_err(A::Error::custom)
            }
            None => self.map.next_value_seed(seed),
        }
    }
}

/// The key of a map, borrowed where it has no escapes.
struct Key<'de>(Cow<'de, str>);

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyVisitor;

        impl<'de> Visitor<'de> for KeyVisitor {
            type Value = Key<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }

            fn visit_borrowed_str<E>(self, key: &'de str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Borrowed(key)))
            }

            fn visit_str<E>(self, key: &str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Owned(key.into())))
            }
        }

        deserializer.deserialize_str(KeyVisitor)
    }
}
