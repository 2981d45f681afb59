//! Where the time of an evaluation goes, operation by operation; costs one thread-local look-up per call when off.

use std::cell::RefCell;
use std::time::Instant;

use candle_core::{Device, Result, Tensor};

/// What was spent in one kind of operation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OperationTime {
    /// The function of [`crate::kernels`].
    pub name: &'static str,
    /// How often it ran.
    pub calls: u64,
    /// Wall-clock seconds in it.
    pub seconds: f64,
    /// Floating-point operations of its matrix products; 0 for passes over memory.
    pub flop: u64,
}

thread_local! {
    static RECORD: RefCell<Option<Vec<OperationTime>>> = const { RefCell::new(None) };
}

/// Runs `f` and lists what it spent in the operations of this module's callers, in the order of their first calls. On a
/// GPU every operation is waited for, so that its time is its own.
pub fn record<T>(f: impl FnOnce() -> T) -> (T, Vec<OperationTime>) {
    RECORD.set(Some(Vec::new()));
    let result = f();
    (result, RECORD.take().unwrap_or_default())
}

/// Runs an operation, on the record if there is one. Operations inside it count as part of it.
pub(crate) fn timed(
    name: &'static str,
    device: &Device,
    flop: impl FnOnce() -> usize,
    f: impl FnOnce() -> Result<Tensor>,
) -> Result<Tensor> {
    let Some(mut record) = RECORD.take() else {
        return f();
    };
    let start = Instant::now();
    let result = f();
    device.synchronize()?;
    let seconds = start.elapsed().as_secs_f64();
    let flop = flop() as u64;
    match record.iter_mut().find(|operation| operation.name == name) {
        Some(known) => {
            known.calls += 1;
            known.seconds += seconds;
            known.flop += flop;
        }
        None => record.push(OperationTime {
            name,
            calls: 1,
            seconds,
            flop,
        }),
    }
    RECORD.set(Some(record));
    result
}

#[cfg(test)]
mod tests {
    use candle_core::DType;

    use super::*;
    use crate::kernels::{Sampling, conv3x3, linear};

    #[test]
    fn a_record_counts_outer_operations_only_and_their_work() {
        let zeros = |shape: &[usize]| Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
        let (image, taps, bias) = (zeros(&[1, 4, 5, 2]), zeros(&[3, 18]), zeros(&[3]));
        let ((), record) = record(|| {
            conv3x3(&image, &taps, &bias, Sampling::Same).unwrap();
            linear(&zeros(&[7, 2]), &zeros(&[3, 2]), Some(&bias)).unwrap();
            linear(&zeros(&[7, 2]), &zeros(&[3, 2]), None).unwrap();
        });
        let counted: Vec<_> = record.iter().map(|o| (o.name, o.calls, o.flop)).collect();
        assert_eq!(
            counted,
            [("convolution", 1, 2 * 4 * 5 * 18 * 3), ("linear", 2, 2 * 2 * 7 * 2 * 3)]
        );
        assert!(record.iter().all(|o| o.seconds > 0.0));
    }
}
