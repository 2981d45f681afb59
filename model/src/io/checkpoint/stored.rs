//! Matrices that stay in their file: mapped, checked once, read by the product itself.
//!
//! Half-precision weights computed in f32 would take twice their file's size as fresh memory, which costs more time than
//! reading them does. Mapped, they cost the system's file cache alone, and a product widens what it needs while it runs.

use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp1, CustomOp2, DType, Layout, Result, Shape, Tensor};
use half::slice::HalfBitsSliceExt;
use half::{bf16, f16};
use memmap2::Mmap;

use super::convert::{self, Stored};
use super::format::Format;
use super::source::Watched;
use crate::kernels::{self, Values};

/// Matrices smaller than this, in numbers, are converted into memory: they are many, and cheap.
pub(super) const LEAST_VALUES: usize = 1 << 18;

/// A weight matrix `[outputs, inputs]` in a mapped file.
#[derive(Clone)]
pub struct StoredMatrix {
    map: Arc<Mmap>,
    watched: Arc<Watched>,
    stored: Format,
    /// What bytes of 8-bit floats stand for, the file's scale included.
    table: Option<Arc<[f32; 256]>>,
    outputs: usize,
    inputs: usize,
}

impl StoredMatrix {
    /// Whether a product in `compute` can read numbers of `stored` where they are: the same format, or one that f32 holds
    /// exactly. Other pairs would be rounded again in every product.
    pub(super) fn serves(stored: Format, compute: DType) -> bool {
        match stored {
            Format::Plain(DType::BF16) => matches!(compute, DType::F32 | DType::BF16),
            Format::Plain(stored) => matches!(stored, DType::F32 | DType::F16) && compute == DType::F32,
            Format::E4m3 | Format::E5m2 | Format::Blocks(_) => compute == DType::F32,
        }
    }

    /// The matrix over its bytes, `None` when it can't be read in place (bytes of an odd address).
    pub(super) fn new(
        map: Mmap,
        watched: Arc<Watched>,
        (stored, scale): (Format, f32),
        (outputs, inputs): (usize, usize),
    ) -> Option<Self> {
        let matrix = Self {
            map: Arc::new(map),
            watched,
            stored,
            table: stored.table(scale).map(Arc::new),
            outputs,
            inputs,
        };
        let complete = matrix.values()?.len() == outputs * inputs;
        complete.then_some(matrix)
    }

    /// Whether every number is finite; reads all of them.
    pub(super) fn is_finite(&self) -> Result<bool> {
        Ok(match (self.stored, &self.table) {
            (Format::Blocks(kind), _) => kernels::blocks_are_finite(&self.map, kind)?,
            (_, Some(table)) => convert::all_finite_in(&self.map, Stored::Table(table)),
            (stored, None) => convert::all_finite_in(&self.map, Stored::Plain(stored.dtype())),
        })
    }

    /// `[outputs, inputs]`
    pub fn dims(&self) -> [usize; 2] {
        [self.outputs, self.inputs]
    }

    fn values(&self) -> Option<Values<'_>> {
        let halves = || bytemuck::try_cast_slice::<u8, u16>(&self.map).ok();
        match self.stored {
            Format::Plain(DType::F32) => bytemuck::try_cast_slice(&self.map).ok().map(Values::F32),
            Format::Plain(DType::F16) => Some(Values::F16(halves()?.reinterpret_cast::<f16>())),
            Format::Plain(DType::BF16) => Some(Values::BF16(halves()?.reinterpret_cast::<bf16>())),
            Format::Blocks(kind) => Values::blocks(&self.map, kind),
            _ => Some(Values::Table(&self.map, self.table.as_deref()?)),
        }
    }

    /// `x weightᵀ + bias` on the last dimension.
    ///
    /// # Shapes
    /// `x: [.., inputs]`, `bias: [outputs]`, result `[.., outputs]` in `x`'s dtype.
    ///
    /// # Errors
    /// Tensors of other shapes.
    pub fn linear(&self, x: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
        let mut dims = x.dims().to_vec();
        if dims.pop() != Some(self.inputs) {
            candle_core::bail!("a layer of {} inputs was given {:?}", self.inputs, x.dims());
        }
        dims.push(self.outputs);
        let flop = || 2 * x.elem_count() * self.outputs;
        kernels::timed("linear", x.device(), flop, || {
            let flat = x.reshape(((), self.inputs))?.contiguous()?;
            let y = match bias {
                Some(bias) => flat.apply_op2_no_bwd(&bias.contiguous()?, self)?,
                None => flat.apply_op1_no_bwd(self)?,
            };
            y.reshape(dims)
        })
    }

    fn product(&self, x: (&CpuStorage, &Layout), bias: Option<(&CpuStorage, &Layout)>) -> Result<(CpuStorage, Shape)> {
        let Some(values) = self.values() else {
            candle_core::bail!("the mapped weights can't be read in place")
        };
        // Of a file that was cut off, reading would end the process; of one that was overwritten, it would be nonsense.
        self.watched.check().map_err(candle_core::Error::wrap)?;
        let rows = x.1.shape().dims2()?.0;
        let out = kernels::stored_product(x, values, bias, (rows, self.inputs, self.outputs))?;
        Ok((out, (rows, self.outputs).into()))
    }
}

impl CustomOp1 for StoredMatrix {
    fn name(&self) -> &'static str {
        "linear-stored"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        self.product((storage, layout), None)
    }
}

impl CustomOp2 for StoredMatrix {
    fn name(&self) -> &'static str {
        "linear-stored-bias"
    }

    fn cpu_fwd(&self, s1: &CpuStorage, l1: &Layout, s2: &CpuStorage, l2: &Layout) -> Result<(CpuStorage, Shape)> {
        self.product((s1, l1), Some((s2, l2)))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::path::Path;

    use candle_core::Device;
    use candle_core::quantized::{GgmlDType, QTensor, gguf_file};

    use super::super::Weights;
    use crate::io::builder::Weight;
    use crate::sampler::noise::gaussian;
    use candle_core::{DType, Tensor};

    const OUTPUTS: usize = 1100;
    const INPUTS: usize = 512;

    fn matrix(dtype: DType) -> Tensor {
        let values = gaussian(3, 0, 0, OUTPUTS * INPUTS);
        let t = Tensor::from_vec(values, (OUTPUTS, INPUTS), &Device::Cpu).unwrap();
        (t * 0.05).unwrap().to_dtype(dtype).unwrap()
    }

    fn saved(folder: &Path, tensor: &Tensor) -> Weights {
        let path = folder.join("model.safetensors");
        candle_core::safetensors::save(&HashMap::from([("layer.weight", tensor.clone())]), &path).unwrap();
        Weights::open(&path).unwrap()
    }

    fn weight(weights: &Weights, compute: DType) -> candle_core::Result<Weight> {
        let builder = weights.builder(compute, &Device::Cpu).pp("layer");
        builder.matrix((OUTPUTS, INPUTS), candle_nn::init::ZERO)
    }

    #[test]
    fn a_product_reads_the_file_as_it_would_memory() {
        let folder = tempfile::tempdir().unwrap();
        let bias = Tensor::from_vec(gaussian(4, 0, 0, OUTPUTS), OUTPUTS, &Device::Cpu).unwrap();
        for (stored, compute, tolerance) in [
            (DType::F32, DType::F32, 1e-5),
            (DType::F16, DType::F32, 1e-5),
            (DType::BF16, DType::F32, 1e-5),
            (DType::BF16, DType::BF16, 1e-2),
        ] {
            let matrix = matrix(stored);
            let stays = weight(&saved(folder.path(), &matrix), compute).unwrap();
            assert!(matches!(stays, Weight::Stored(_)), "{stored:?} in {compute:?}");
            let held = Weight::Held(matrix.to_dtype(compute).unwrap());
            for rows in [1, 3, 77] {
                let x = Tensor::from_vec(gaussian(5, 0, 0, rows * INPUTS), (1, rows, INPUTS), &Device::Cpu).unwrap();
                let (x, bias) = (x.to_dtype(compute).unwrap(), bias.to_dtype(compute).unwrap());
                for bias in [Some(&bias), None] {
                    let ours = stays.linear(&x, bias).unwrap().to_dtype(DType::F32).unwrap();
                    let expected = held.linear(&x, bias).unwrap().to_dtype(DType::F32).unwrap();
                    let difference = (ours - expected).unwrap().abs().unwrap().max_all().unwrap();
                    let difference = difference.to_scalar::<f32>().unwrap();
                    assert!(
                        difference <= tolerance,
                        "{stored:?} in {compute:?}, {rows} rows: {difference}"
                    );
                }
            }
        }
    }

    /// The matrix stays in its file and gives the product that it gives in memory.
    fn assert_read_in_place(weights: &Weights, name: &str) {
        let stays = weight(weights, DType::F32).unwrap();
        assert!(matches!(stays, Weight::Stored(_)), "{name}");
        let held = Weight::Held(weights.load("layer.weight", DType::F32, &Device::Cpu).unwrap());
        let x = Tensor::from_vec(gaussian(5, 0, 0, 3 * INPUTS), (1, 3, INPUTS), &Device::Cpu).unwrap();
        let difference = (stays.linear(&x, None).unwrap() - held.linear(&x, None).unwrap()).unwrap();
        let worst = difference.abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
        assert!(worst <= 1e-4, "{name}: {worst}");
        assert!(
            matches!(weight(weights, DType::BF16).unwrap(), Weight::Held(_)),
            "{name}: rounded once"
        );
    }

    #[test]
    fn eight_bit_floats_and_quantised_blocks_stay_in_their_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        // Every number of E4M3 but NaN, and a scale that keeps them small.
        let numbers: Vec<u8> = (0..OUTPUTS * INPUTS)
            .map(|i| (i * 37 % 256) as u8)
            .map(|b| if b & 0x7f == 0x7f { 0 } else { b })
            .collect();
        let header = serde_json::json!({
            "layer.weight": { "dtype": "F8_E4M3", "shape": [OUTPUTS, INPUTS], "data_offsets": [0, numbers.len()] },
            "layer.scale_weight": { "dtype": "F32", "shape": [], "data_offsets": [numbers.len(), numbers.len() + 4] },
        });
        let header = header.to_string();
        let length = (header.len() as u64).to_le_bytes();
        let scale = 1e-3f32.to_le_bytes();
        std::fs::write(&path, [&length[..], header.as_bytes(), &numbers, &scale].concat()).unwrap();
        assert_read_in_place(&Weights::open(&path).unwrap(), "scaled E4M3");

        let path = folder.path().join("model.gguf");
        for kind in [GgmlDType::Q8_0, GgmlDType::Q4_0, GgmlDType::Q6K] {
            let quantised = QTensor::quantize(&matrix(DType::F32), kind).unwrap();
            let mut file = std::fs::File::create(&path).unwrap();
            gguf_file::write(&mut file, &[], &[("layer.weight", &quantised)]).unwrap();
            assert_read_in_place(&Weights::open(&path).unwrap(), &format!("{kind:?}"));
        }
    }

    #[test]
    fn what_would_be_rounded_in_every_product_is_converted_once() {
        let folder = tempfile::tempdir().unwrap();
        for (stored, compute) in [
            (DType::F16, DType::BF16),
            (DType::F32, DType::BF16),
            (DType::F16, DType::F16),
        ] {
            let weights = saved(folder.path(), &matrix(stored));
            assert!(
                matches!(weight(&weights, compute).unwrap(), Weight::Held(_)),
                "{stored:?} in {compute:?}"
            );
        }
    }

    #[test]
    fn a_bad_number_is_found_where_it_is() {
        let folder = tempfile::tempdir().unwrap();
        for dtype in [DType::F32, DType::F16, DType::BF16] {
            let ones = Tensor::ones((OUTPUTS, INPUTS - 1), dtype, &Device::Cpu).unwrap();
            let bad = Tensor::full(f32::NAN, (OUTPUTS, 1), &Device::Cpu)
                .unwrap()
                .to_dtype(dtype)
                .unwrap();
            let weights = saved(folder.path(), &Tensor::cat(&[&ones, &bad], 1).unwrap());
            let message = weight(&weights, DType::F32).err().unwrap().to_string();
            assert!(message.contains("layer.weight") && message.contains("NaN"), "{message}");
        }
    }

    /// A checkpoint that is downloaded again, or cut off, under a loaded model.
    #[test]
    fn a_file_that_changes_is_an_error_and_not_a_signal() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        let x = Tensor::ones((1, INPUTS), DType::F32, &Device::Cpu).unwrap();
        let changes: [fn(&std::fs::File, &Path); 2] = [
            |file, _| file.set_len(1000).unwrap(),
            |_, path| {
                let bytes = std::fs::read(path).unwrap();
                // Some file systems tell times by hundredths of a second.
                std::thread::sleep(std::time::Duration::from_millis(20));
                std::fs::write(path, vec![0; bytes.len()]).unwrap();
            },
        ];
        for change in changes {
            let weights = saved(folder.path(), &matrix(DType::F32));
            let weight = weight(&weights, DType::F32).unwrap();
            weight.linear(&x, None).unwrap();
            change(&std::fs::File::options().write(true).open(&path).unwrap(), &path);
            let message = weight.linear(&x, None).expect_err("changed").to_string();
            assert!(
                message.contains("model.safetensors") && message.contains("has changed"),
                "{message}"
            );
            let message = weights.get("layer.weight").expect_err("changed").to_string();
            assert!(message.contains("has changed"), "{message}");
        }
    }

    #[test]
    fn a_wrong_shape_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let weights = saved(folder.path(), &matrix(DType::F32));
        let builder = weights.builder(DType::F32, &Device::Cpu).pp("layer");
        let message = builder
            .matrix((INPUTS, OUTPUTS), candle_nn::init::ZERO)
            .err()
            .unwrap()
            .to_string();
        assert!(
            message.contains("layer.weight") && message.contains("[512, 1100]"),
            "{message}"
        );
    }
}
