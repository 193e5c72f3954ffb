//! Enumerations that are words in JSON.
//!
//! An unknown word is kept as `Other`. An object of a newer version (or written by hand) can therefore be read and
//! written back without a loss. The schema of a `closed` enumeration lists its words; an `open` one is a plain string
//! in the schema.

/// Defines a word enumeration. The first variant is the default.
macro_rules! text_enum {
    (
        $(#[$meta:meta])*
        $openness:ident $name:ident {
            $($(#[$variant_meta:meta])* $variant:ident = $text:literal),+ $(,)?
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $($(#[$variant_meta])* $variant,)+
            /// A word this version does not know; kept as it was read.
            Other(String),
        }

        impl $name {
            /// Every word this version knows, the default first.
            pub const KNOWN: &'static [&'static str] = &[$($text),+];

            /// The word as it stands in JSON.
            #[must_use]
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $text,)+
                    Self::Other(other) => other,
                }
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                match text {
                    $($text => Self::$variant,)+
                    other => Self::Other(other.to_owned()),
                }
            }
        }

        impl Default for $name {
            fn default() -> Self {
                Self::from(Self::KNOWN[0])
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer).map(|text| Self::from(text.as_str()))
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                text_enum!(@schema $openness Self::KNOWN)
            }
        }
    };
    (@schema closed $known:expr) => {
        schemars::json_schema!({ "type": "string", "enum": $known })
    };
    (@schema open $known:expr) => {
        schemars::json_schema!({ "type": "string" })
    };
}
