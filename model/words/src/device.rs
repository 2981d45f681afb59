//! Devices and dtypes as the user writes them.

use std::fmt;
use std::str::FromStr;

use crate::error::WordsError;

/// A compute device as the user writes it: `cpu`, `cuda`, `cuda:N` or `metal`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ComputeDevice {
    /// The processor.
    Cpu,
    /// An NVIDIA GPU by its index.
    Cuda(usize),
    /// The first Apple GPU.
    Metal,
}

impl FromStr for ComputeDevice {
    type Err = WordsError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let unknown = || WordsError::BadInput(format!("device {text:?} is unknown; use cpu, cuda, cuda:N or metal"));
        match text {
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(0)),
            "metal" => Ok(Self::Metal),
            _ => {
                let index = text.strip_prefix("cuda:").ok_or_else(unknown)?;
                index.parse().map(Self::Cuda).map_err(|_| unknown())
            }
        }
    }
}

impl fmt::Display for ComputeDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(index) => write!(f, "cuda:{index}"),
            Self::Metal => f.write_str("metal"),
        }
    }
}

impl ComputeDevice {
    /// Refuses devices that this build has no code for.
    ///
    /// # Errors
    /// [`WordsError::BadInput`] that says how to build with it.
    pub fn check_built_in(self) -> Result<(), WordsError> {
        let feature = match self {
            Self::Cuda(_) if !cfg!(feature = "cuda") => "cuda",
            Self::Metal if !cfg!(feature = "metal") => "metal",
            _ => return Ok(()),
        };
        Err(WordsError::BadInput(format!(
            "device {self} is not part of this build; use cpu, or build with `cargo build --release --features {feature}`"
        )))
    }
}

/// A floating-point type for weights and activations, as the user writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ComputeDtype {
    /// 32 bits.
    F32,
    /// 16 bits with the exponent range of `f32`.
    Bf16,
    /// 16 bits, IEEE half precision.
    F16,
}

impl FromStr for ComputeDtype {
    type Err = WordsError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "f32" => Ok(Self::F32),
            "bf16" => Ok(Self::Bf16),
            "f16" => Ok(Self::F16),
            _ => Err(WordsError::BadInput(format!(
                "dtype {text:?} is unknown; use f32, bf16 or f16"
            ))),
        }
    }
}

impl ComputeDtype {
    /// Bytes of a number.
    pub fn bytes(self) -> u64 {
        match self {
            Self::F32 => 4,
            Self::Bf16 | Self::F16 => 2,
        }
    }
}

impl fmt::Display for ComputeDtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::F16 => "f16",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn device_strings_survive_a_round_trip() {
        for text in ["cpu", "cuda:0", "cuda:3", "metal"] {
            assert_eq!(text.parse::<ComputeDevice>().expect("valid").to_string(), text);
        }
        assert_eq!("cuda".parse::<ComputeDevice>().expect("valid"), ComputeDevice::Cuda(0));
        for text in ["", "CPU", "cuda:", "cuda:-1", "cuda:x", "metal:1"] {
            assert!(text.parse::<ComputeDevice>().is_err(), "{text:?} should be refused");
        }
    }

    #[cfg(not(feature = "cuda"))]
    #[test]
    fn a_device_outside_the_build_says_how_to_get_it() {
        let message = ComputeDevice::Cuda(0)
            .check_built_in()
            .expect_err("not built in")
            .to_string();
        assert!(message.contains("--features cuda"), "{message}");
    }
}
