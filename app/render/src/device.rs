//! The devices that a run can compute on.

use mdsd3_model::device::Place;
use mdsd3_words::device::{ComputeDevice, ComputeDtype};

use crate::error::RenderError;

/// One device of this machine and build, for `mdsd3 doctor` and the Model pane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceReport {
    /// As written on the command line.
    pub name: &'static str,
    /// Whether a run can use it.
    pub usable: bool,
    /// Why not, or what it is.
    pub note: String,
}

/// Tries every kind of device once.
pub fn available() -> Vec<DeviceReport> {
    let kinds = [
        ("cpu", ComputeDevice::Cpu),
        ("cuda:0", ComputeDevice::Cuda(0)),
        ("metal", ComputeDevice::Metal),
    ];
    let report = |(name, device): (&'static str, ComputeDevice)| match Place::open(device, ComputeDtype::F32) {
        Ok(place) => DeviceReport {
            name,
            usable: true,
            note: match place.attention_hindrance() {
                None => "usable".to_owned(),
                Some(reason) => format!("usable; attention takes its plain, slower form ({reason})"),
            },
        },
        Err(error) => DeviceReport {
            name,
            usable: false,
            note: RenderError::from(error).one_line(),
        },
    };
    kinds.map(report).into()
}
