//! Layouts of pairs on disk: where a dataset's files go, the lists that a trainer reads, and how pairs are found again.
//!
//! One file per trainer's convention and one line of [`LayoutKind::ALL`]; nothing else knows their names. Paths are relative
//! to the dataset and separated by `/`. No name has a space, or a dot but the extension's (RESIDE's ratios excepted).

mod basicsr;
mod cdd11;
mod imagefolder;
mod naming;
mod promptir;
mod reading;
mod reside;
mod restormer;
mod rules;
pub mod source;
mod webdataset;

use std::fmt::{self, Debug, Formatter};
use std::ops::Deref;
use std::path::Path;

use mdsd3_words::settings::Key;
use serde::de::{Deserializer, EnumAccess, Error as _, VariantAccess, Visitor};
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};

pub use naming::{Dataset, Done, Job, List, Pack, Place, STAGING, final_path};
pub use reading::{Reading, Skipped};
pub use rules::Layout;

/// What serde calls a layout.
const TYPE_NAME: &str = "LayoutKind";

/// A layout that is known: a plan's choice, and a recipe's.
#[derive(Clone, Copy)]
pub struct LayoutKind(&'static dyn Layout);

impl LayoutKind {
    /// All of them, the default first.
    pub const ALL: [Self; 7] = [
        Self(&basicsr::Basicsr),
        Self(&restormer::Restormer),
        Self(&cdd11::Cdd11),
        Self(&promptir::Promptir),
        Self(&reside::Reside),
        Self(&imagefolder::Imagefolder),
        Self(&webdataset::Webdataset),
    ];

    /// The layout of a name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|layout| layout.name() == name)
    }

    /// The layout of a folder.
    pub fn of_folder(folder: &Path) -> Option<Self> {
        Self::ALL.into_iter().find(|layout| layout.is_in(folder))
    }

    /// All names, for messages.
    pub fn names() -> String {
        Self::ALL.map(|layout| layout.name()).join(", ")
    }
}

impl Deref for LayoutKind {
    type Target = dyn Layout;

    fn deref(&self) -> &Self::Target {
        self.0
    }
}

impl Default for LayoutKind {
    fn default() -> Self {
        Self::ALL[0]
    }
}

impl PartialEq for LayoutKind {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for LayoutKind {}

impl Debug for LayoutKind {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for LayoutKind {
    /// As the variant of an enum, which it once was: the studio's preferences write names of variants unlike text.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_unit_variant(TYPE_NAME, 0, self.name())
    }
}

impl<'de> Deserialize<'de> for LayoutKind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Variant;

        impl<'de> Visitor<'de> for Variant {
            type Value = LayoutKind;

            fn expecting(&self, f: &mut Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a layout")
            }

            fn visit_enum<A: EnumAccess<'de>>(self, data: A) -> Result<LayoutKind, A::Error> {
                let (Key(name), variant) = data.variant()?;
                variant.unit_variant()?;
                let unknown = || A::Error::custom(format!("layout {name:?} is unknown: give {}", LayoutKind::names()));
                LayoutKind::named(&name).ok_or_else(unknown)
            }
        }

        deserializer.deserialize_enum(TYPE_NAME, &[], Variant)
    }
}

#[cfg(test)]
mod tests;
