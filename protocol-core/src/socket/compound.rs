//! Arrays, objects and their like, as serde's seven traits for them ask: they differ in names only.

/// Implements them for a type that has `element`, `field`, `key`, `value` (of a key) and `close`.
macro_rules! compound {
    ($compound:ident) => {
        compound! { @elements $compound
            SerializeSeq serialize_element
            SerializeTuple serialize_element
            SerializeTupleStruct serialize_field
            SerializeTupleVariant serialize_field
        }
        compound! { @fields $compound SerializeStruct SerializeStructVariant }

        impl serde::ser::SerializeMap for $compound<'_> {
            type Ok = ();
            type Error = EncodeError;

            fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), EncodeError> {
                self.key(key)
            }

            fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EncodeError> {
                self.value(value)
            }

            fn end(self) -> Result<(), EncodeError> {
                self.close()
            }
        }
    };
    (@elements $compound:ident $($part:ident $method:ident)*) => {$(
        impl serde::ser::$part for $compound<'_> {
            type Ok = ();
            type Error = EncodeError;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EncodeError> {
                self.element(value)
            }

            fn end(self) -> Result<(), EncodeError> {
                self.close()
            }
        }
    )*};
    (@fields $compound:ident $($part:ident)*) => {$(
        impl serde::ser::$part for $compound<'_> {
            type Ok = ();
            type Error = EncodeError;

            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                key: &'static str,
                value: &T,
            ) -> Result<(), EncodeError> {
                self.field(key, value)
            }

            fn end(self) -> Result<(), EncodeError> {
                self.close()
            }
        }
    )*};
}

pub(super) use compound;
