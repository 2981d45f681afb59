//! Groups of settings whose fields are declared once.
//!
//! A run has some thirty settings, in groups that belong together; its files have them flat, as `{"alpha": 1, "size": 256}`.
//! `settings!` declares a group: each line is a field with its option of the command line, its default, what the
//! studio calls it, and how it is stored. From that line come the struct, its `Default` and clap's, reading and writing, the list of keys
//! that plans and presets choose from, and what undo says has changed. Serde's `flatten` would read fields through a type in
//! between that the preferences' format (RON) doesn't have, so groups are written into the struct that holds them field by field.

use std::fmt;
use std::marker::PhantomData;
use std::path::PathBuf;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeStruct, Serializer};

/// A group of settings: what `settings!` implements.
pub trait Settings: Default {
    /// Name of the group, for messages about files.
    const NAME: &'static str;

    /// The keys of its fields in files, those of its inner groups included.
    fn keys() -> &'static [&'static str];

    /// Writes the fields whose key is wanted into the struct that holds the group.
    ///
    /// # Errors
    /// What the serializer reports.
    fn write<S: SerializeStruct>(&self, to: &mut S, wanted: &dyn Fn(&str) -> bool) -> Result<(), S::Error>;

    /// Reads the value of a key; false when the key is of another group, and then nothing is read.
    ///
    /// # Errors
    /// What the deserializer reports, above all that the value is of another kind.
    fn read<'de, A: MapAccess<'de>>(&mut self, key: &str, from: &mut A) -> Result<bool, A::Error>;

    /// Takes the fields whose key is wanted from another.
    fn take(&mut self, from: &Self, wanted: &dyn Fn(&str) -> bool);

    /// What the studio calls the fields that differ, in their order, each name once.
    fn differences(&self, other: &Self) -> Vec<&'static str>;
}

/// Writes a group as a struct of its own.
///
/// # Errors
/// What the serializer reports.
pub fn serialize<T: Settings, S: Serializer>(settings: &T, serializer: S) -> Result<S::Ok, S::Error> {
    let mut fields = serializer.serialize_struct(T::NAME, T::keys().len())?;
    settings.write(&mut fields, &|_| true)?;
    fields.end()
}

/// Reads a group: fields that a file lacks take their defaults, and keys that no field has are refused, since ignoring them
/// would restore another run than the one that was saved.
///
/// # Errors
/// What the deserializer reports; a key that is unknown or there twice.
pub fn deserialize<'de, T: Settings, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    deserializer.deserialize_struct(T::NAME, T::keys(), GroupVisitor(PhantomData))
}

struct GroupVisitor<T>(PhantomData<T>);

impl<'de, T: Settings> Visitor<'de> for GroupVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "struct {}", T::NAME)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<T, A::Error> {
        let mut settings = T::default();
        let mut seen: Vec<&str> = Vec::new();
        while let Some(Key(key)) = map.next_key()? {
            let Some(known) = T::keys().iter().find(|known| **known == key) else {
                return Err(A::Error::unknown_field(&key, T::keys()));
            };
            if seen.contains(known) {
                return Err(A::Error::duplicate_field(known));
            }
            seen.push(known);
            settings.read(known, &mut map)?;
        }
        Ok(settings)
    }
}

/// A field's name: some formats have other words for names than for text.
pub struct Key(pub String);

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_identifier(KeyVisitor).map(Self)
    }
}

struct KeyVisitor;

impl Visitor<'_> for KeyVisitor {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field's name")
    }

    fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<String, E> {
        Ok(name.to_owned())
    }
}

/// A path as text. Names that are no Unicode keep what can be shown of them: a run's settings stay readable, though its photo
/// can't be found again by them.
pub(crate) fn path_text(path: Option<&PathBuf>) -> impl Serialize + '_ {
    path.map(|path| path.to_string_lossy())
}

/// Paths as text: none and one as where only one can be, several as a list.
pub(crate) fn paths_text(paths: &[PathBuf]) -> OneOrSeveral {
    let text = |path: &PathBuf| path.to_string_lossy().into_owned();
    match paths {
        [] => OneOrSeveral::One(None),
        [one] => OneOrSeveral::One(Some(text(one))),
        several => OneOrSeveral::Several(several.iter().map(text).collect()),
    }
}

/// Paths as files have them: what took one path once is read as it was written then.
#[derive(serde::Serialize, serde::Deserialize)]
#[serde(untagged)]
pub(crate) enum OneOrSeveral {
    /// One, or none.
    One(Option<String>),
    /// Several.
    Several(Vec<String>),
}

impl From<OneOrSeveral> for Vec<PathBuf> {
    fn from(paths: OneOrSeveral) -> Self {
        match paths {
            OneOrSeveral::One(path) => path.into_iter().map(PathBuf::from).collect(),
            OneOrSeveral::Several(paths) => paths.into_iter().map(PathBuf::from).collect(),
        }
    }
}

/// Whether two values differ.
pub(crate) fn differ<T: PartialEq>(one: &T, other: &T) -> bool {
    one != other
}

/// Declares a group of settings; see the module.
///
/// A field is `name: Type, "what the studio calls it";` with, in this order and where needed: `as "key"` behind the name when
/// files have another; `= default` behind the type, for clap too, or `=> default` where clap is not asked; and a word behind the
/// label: `path` and `paths` write text, `if_set` leaves a default out, `path_if_set` does both. Without a default it is the type's.
/// `groups` holds inner groups.
macro_rules! settings {
    (
        $(#[$meta:meta])*
        pub struct $name:ident {
            $(groups { $( $(#[$group_meta:meta])* pub $group:ident: $group_type:ty; )* })?
            $(
                $(#[$attribute:meta])*
                pub $field:ident $(as $key:literal)?: $type:ty $(= $default:expr)? $(=> $plain:expr)?,
                    $label:literal $(, $how:ident)?;
            )*
        }
    ) => {
        $(#[$meta])*
        pub struct $name {
            $($( $(#[$group_meta])* pub $group: $group_type, )*)?
            $(
                $(#[$attribute])*
                $(#[arg(default_value_t = $default)])?
                pub $field: $type,
            )*
        }

        impl Default for $name {
            fn default() -> Self {
                Self {
                    $($( $group: Default::default(), )*)?
                    $( $field: settings!(@default $type $(, $default)? $(, $plain)?), )*
                }
            }
        }

        impl $crate::settings::Settings for $name {
            const NAME: &'static str = stringify!($name);

            fn keys() -> &'static [&'static str] {
                static KEYS: std::sync::LazyLock<Vec<&'static str>> = std::sync::LazyLock::new(|| {
                    let groups: &[&[&'static str]] = &[
                        $($( <$group_type as $crate::settings::Settings>::keys(), )*)?
                        &[$( settings!(@key $field $($key)?), )*],
                    ];
                    groups.concat()
                });
                &KEYS
            }

            fn write<S: serde::ser::SerializeStruct>(
                &self,
                to: &mut S,
                wanted: &dyn Fn(&str) -> bool,
            ) -> Result<(), S::Error> {
                $($( $crate::settings::Settings::write(&self.$group, to, wanted)?; )*)?
                $({
                    let key = settings!(@key $field $($key)?);
                    if wanted(key) {
                        settings!(@write [$($how)?] to, key, self.$field, $type);
                    }
                })*
                Ok(())
            }

            fn read<'de, A: serde::de::MapAccess<'de>>(&mut self, key: &str, from: &mut A) -> Result<bool, A::Error> {
                $($( if $crate::settings::Settings::read(&mut self.$group, key, from)? { return Ok(true); } )*)?
                $(
                    if key == settings!(@key $field $($key)?) {
                        self.$field = settings!(@read [$($how)?] from);
                        return Ok(true);
                    }
                )*
                Ok(false)
            }

            fn take(&mut self, from: &Self, wanted: &dyn Fn(&str) -> bool) {
                $($( $crate::settings::Settings::take(&mut self.$group, &from.$group, wanted); )*)?
                $(
                    if wanted(settings!(@key $field $($key)?)) {
                        self.$field.clone_from(&from.$field);
                    }
                )*
            }

            fn differences(&self, other: &Self) -> Vec<&'static str> {
                let mut labels = Vec::new();
                $($( labels.extend($crate::settings::Settings::differences(&self.$group, &other.$group)); )*)?
                $(
                    if $crate::settings::differ(&self.$field, &other.$field) && !labels.contains(&$label) {
                        labels.push($label);
                    }
                )*
                labels
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                $crate::settings::serialize(self, serializer)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                $crate::settings::deserialize(deserializer)
            }
        }
    };
    (@key $field:ident) => { stringify!($field) };
    (@key $field:ident $key:literal) => { $key };
    (@default $type:ty) => { <$type>::default() };
    (@default $type:ty, $value:expr) => { $value };
    (@write [] $to:ident, $key:ident, $value:expr, $type:ty) => { $to.serialize_field($key, &$value)? };
    (@write [path] $to:ident, $key:ident, $value:expr, $type:ty) => {
        $to.serialize_field($key, &$crate::settings::path_text($value.as_ref()))?
    };
    (@write [paths] $to:ident, $key:ident, $value:expr, $type:ty) => {
        $to.serialize_field($key, &$crate::settings::paths_text(&$value))?
    };
    (@write [path_if_set] $to:ident, $key:ident, $value:expr, $type:ty) => {
        if $value.is_some() {
            settings!(@write [path] $to, $key, $value, $type)
        } else {
            $to.skip_field($key)?
        }
    };
    (@read [paths] $from:ident) => { $from.next_value::<$crate::settings::OneOrSeveral>()?.into() };
    (@read [$($how:ident)?] $from:ident) => { $from.next_value()? };
    (@write [if_set] $to:ident, $key:ident, $value:expr, $type:ty) => {
        if $crate::settings::differ(&$value, &<$type>::default()) {
            $to.serialize_field($key, &$value)?
        } else {
            $to.skip_field($key)?
        }
    };
}
