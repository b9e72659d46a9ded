//! The rule by which a Rust type takes an argument list: tuples take the list, all others the first argument.

use core::cell::Cell;
use core::fmt;
use core::marker::PhantomData;

use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, IgnoredAny, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;

use crate::socket::value::VARIADIC;

/// An argument list in some encoding.
pub(super) trait Source<'de>: Sized {
    type Deserializer: Deserializer<'de>;

    /// How many arguments there are.
    fn len(&self) -> usize;

    /// Whether the list begins with the name of an event, which is no argument.
    fn named(&self) -> bool;

    /// The first argument, where that is text which stands there as it is.
    fn text(&self) -> Option<&'de str> {
        None
    }

    /// The first argument, where that stands for bytes.
    fn bytes(&self) -> Option<&'de [u8]> {
        None
    }

    /// A deserializer of the first argument; there is one.
    fn first(self) -> Self::Deserializer;

    /// A deserializer of the whole list as a sequence, the name included.
    fn list(self) -> Self::Deserializer;
}

/// How far decoding has come, for the error.
#[derive(Default)]
pub(super) struct Progress {
    argument: Cell<usize>,
    missing: Cell<bool>,
}

impl Progress {
    /// The number of the argument that was decoded last; the first one is 1.
    pub(super) fn argument(&self) -> usize {
        self.argument.get().max(1)
    }

    /// Whether that argument does not exist.
    pub(super) fn missing(&self) -> bool {
        self.missing.get()
    }

    fn refuse<E: Error>(&self) -> E {
        self.missing.set(true);
        E::custom("missing argument")
    }
}

/// Deserializes the type that the application asked for.
pub(super) struct TopLevel<'p, S> {
    source: S,
    progress: &'p Progress,
}

impl<'p, 'de, S: Source<'de>> TopLevel<'p, S> {
    pub(super) const fn new(source: S, progress: &'p Progress) -> Self {
        Self { source, progress }
    }

    fn first(self) -> Result<S::Deserializer, <S::Deserializer as Deserializer<'de>>::Error> {
        if self.source.len() == 0 { Err(self.progress.refuse()) } else { Ok(self.source.first()) }
    }

    fn list<V: Visitor<'de>>(
        self,
        expected: usize,
        visitor: V,
    ) -> Result<V::Value, <S::Deserializer as Deserializer<'de>>::Error> {
        let Self { source, progress } = self;
        let expected = if expected == VARIADIC { source.len() } else { expected };
        let list = ListVisitor { visitor, expected, present: source.len(), named: source.named(), progress };
        source.list().deserialize_seq(list)
    }
}

macro_rules! first_argument {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
            self.first()?.$method(visitor)
        }
    )*};
}

impl<'de, S: Source<'de>> Deserializer<'de> for TopLevel<'_, S> {
    type Error = <S::Deserializer as Deserializer<'de>>::Error;

    first_argument! {
        deserialize_any deserialize_bool
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128
        deserialize_f32 deserialize_f64 deserialize_char
        deserialize_seq deserialize_map deserialize_identifier
    }

    // What handlers take most often, and what needs no deserializer then.
    #[inline(always)]
    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        match self.source.text() {
            Some(text) => visitor.visit_borrowed_str(text),
            None => self.first()?.deserialize_str(visitor),
        }
    }

    #[inline(always)]
    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        match self.source.bytes() {
            Some(bytes) => visitor.visit_borrowed_bytes(bytes),
            None => self.first()?.deserialize_bytes(visitor),
        }
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        if self.source.len() == 0 { visitor.visit_none() } else { self.first()?.deserialize_option(visitor) }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        visitor.visit_unit()
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        if name == super::binary::RAW_VALUE {
            return self.first()?.deserialize_newtype_struct(name, visitor);
        }
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Self::Error> {
        self.list(len, visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        self.list(len, visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        self.first()?.deserialize_struct(name, fields, visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        self.first()?.deserialize_enum(name, variants, visitor)
    }
}

/// Hands the argument list to the visitor of a tuple.
struct ListVisitor<'p, V> {
    visitor: V,
    /// The length of the tuple.
    expected: usize,
    /// The number of arguments.
    present: usize,
    named: bool,
    progress: &'p Progress,
}

impl<'de, V: Visitor<'de>> Visitor<'de> for ListVisitor<'_, V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.visitor.expecting(f)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<V::Value, A::Error> {
        if self.named {
            seq.next_element::<IgnoredAny>()?;
        }
        let (expected, present, progress) = (self.expected, self.present, self.progress);
        let value = self.visitor.visit_seq(Elements { seq: &mut seq, expected, present, progress })?;
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(value)
    }
}

struct Elements<'a, 'p, A> {
    seq: &'a mut A,
    expected: usize,
    present: usize,
    progress: &'p Progress,
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Elements<'_, '_, A> {
    type Error = A::Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, A::Error> {
        let index = self.progress.argument.get();
        if index == self.expected {
            return Ok(None);
        }
        self.progress.argument.set(index + 1);
        if index < self.present {
            self.seq.next_element_seed(seed)
        } else {
            seed.deserialize(Missing { progress: self.progress, error: PhantomData }).map(Some)
        }
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.expected - self.progress.argument.get())
    }
}

/// An argument that is not there: `None` and `()` can do without.
struct Missing<'p, E> {
    progress: &'p Progress,
    error: PhantomData<E>,
}

impl<'de, E: Error> Deserializer<'de> for Missing<'_, E> {
    type Error = E;

    fn deserialize_any<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, E> {
        Err(self.progress.refuse())
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, E> {
        visitor.visit_none()
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, E> {
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, E> {
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, E> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
        seq tuple tuple_struct map struct enum identifier ignored_any
    }
}
