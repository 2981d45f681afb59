//! Attention on an NVIDIA GPU: `attention.cu`, compiled by NVRTC when a device is first used.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};

use candle_core::backend::BackendStorage;
use candle_core::cuda_backend::cudarc::driver::{CudaView, DeviceRepr, LaunchConfig, PushKernelArg};
use candle_core::cuda_backend::cudarc::nvrtc::{CompileError, CompileOptions, compile_ptx_with_opts};
use candle_core::cuda_backend::{CudaDType, CudaDevice, CudaStorage, DeviceId, WrapErr};
use candle_core::{DType, Device, Error, Layout, Result, Shape, Tensor, WithDType};
use half::bf16;

use super::Sizes;

const SOURCE: &str = include_str!("attention.cu");

/// Threads of a block, `THREADS` in the source.
const THREADS: u32 = 128;

/// Bytes to which the tensor-core kernel's rows must be aligned.
const ALIGNMENT: usize = 16;

/// A result whose error is a reason in words, for `mdsd3 doctor`.
type Outcome<T> = std::result::Result<T, String>;

/// What the source is compiled for. Newer devices run the code of older ones, translated by their driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Target {
    /// Compute capability 7.5: no bf16 in the tensor cores.
    Turing,
    /// Compute capability 8.0 and all later ones.
    Ampere,
}

impl Target {
    fn of(capability: (i32, i32)) -> Outcome<Self> {
        match capability {
            (8.., _) => Ok(Self::Ampere),
            (7, 5..) => Ok(Self::Turing),
            (major, minor) => Err(format!("its compute capability {major}.{minor} is below 7.5")),
        }
    }

    fn option(self) -> &'static str {
        match self {
            Self::Turing => "compute_75",
            Self::Ampere => "compute_80",
        }
    }
}

/// One entry point of the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Kernel {
    format: &'static str,
    /// Largest head it takes; the tensor cores' takes no other.
    size: usize,
    tensor_cores: bool,
    /// Queries of a block.
    queries: usize,
}

impl Kernel {
    /// Head sizes of the plain kernels and their queries per block, as in the source's table.
    const PLAIN: [(usize, usize); 4] = [(16, 256), (32, 256), (64, 128), (128, 64)];

    fn choose(dtype: DType, head: usize, target: Target, aligned: bool) -> Option<Self> {
        let format = match dtype {
            DType::F32 => "f32",
            DType::BF16 => "bf16",
            _ => return None,
        };
        let (size, queries) = Self::PLAIN.into_iter().find(|&(size, _)| head <= size)?;
        let tensor_cores = dtype == DType::BF16 && head == 64 && target == Target::Ampere && aligned;
        Some(Self {
            format,
            size,
            tensor_cores,
            queries: if tensor_cores { 128 } else { queries },
        })
    }

    fn name(self) -> String {
        let cores = if self.tensor_cores { "tensor_" } else { "" };
        format!("attention_{cores}{}_{}", self.format, self.size)
    }

    /// What tells the source to leave out the other kernels.
    fn definitions(self) -> Vec<String> {
        if self.tensor_cores {
            return vec!["-DONE_TENSOR".to_owned()];
        }
        let format = if self.format == "f32" { "float" } else { "Half" };
        vec![
            format!("-DONE_PLAIN={}", self.name()),
            format!("-DTYPE={format}"),
            format!("-DSIZE={}", self.size),
        ]
    }

    /// The kernel as PTX, or NVRTC's reason.
    fn compile(self, target: Target) -> Outcome<String> {
        let mut options = self.definitions();
        options.push("--std=c++17".to_owned());
        let options = CompileOptions {
            arch: Some(target.option()),
            options,
            name: Some("attention.cu".to_owned()),
            ..CompileOptions::default()
        };
        let compiled = compile_ptx_with_opts(SOURCE, options);
        compiled.map(|ptx| ptx.to_src()).map_err(|error| match error {
            CompileError::CompileError { log, .. } => {
                let log = log.to_string_lossy().into_owned();
                let line = log.lines().find(|line| line.contains("error"));
                format!("NVRTC refuses the kernel: {}", line.unwrap_or("no reason given"))
            }
            other => format!("NVRTC fails: {other}"),
        })
    }
}

/// What was compiled and loaded in this process, or why it could not be, so that each is tried once.
#[derive(Default)]
struct Ready {
    compiled: HashMap<(Kernel, Target), Outcome<String>>,
    loaded: HashMap<(Kernel, DeviceId), Outcome<()>>,
}

static READY: LazyLock<Mutex<Ready>> = LazyLock::new(Mutex::default);

impl Ready {
    fn load(&mut self, kernel: Kernel, target: Target, device: &CudaDevice) -> Outcome<()> {
        let compiled = &mut self.compiled;
        let load = || {
            let ptx = compiled
                .entry((kernel, target))
                .or_insert_with(|| kernel.compile(target));
            let ptx = ptx.as_ref().map_err(String::clone)?;
            let name = kernel.name();
            let function = device.get_or_load_custom_func(&name, &name, ptx);
            function
                .map(drop)
                .map_err(|error| format!("the driver refuses the kernel: {error}"))
        };
        self.loaded.entry((kernel, device.id())).or_insert_with(load).clone()
    }
}

/// The kernel for such operands, loaded: nothing where there is none, or why it can't be had.
fn prepared(device: &CudaDevice, dtype: DType, head: usize, aligned: bool) -> Option<Outcome<Kernel>> {
    let capability = device.cuda_stream().context().compute_capability();
    let target = match capability.map_err(|error| error.to_string()).and_then(Target::of) {
        Ok(target) => target,
        Err(reason) => return Some(Err(reason)),
    };
    let kernel = Kernel::choose(dtype, head, target, aligned)?;
    let mut ready = READY.lock().unwrap_or_else(PoisonError::into_inner);
    Some(ready.load(kernel, target, device).map(|()| kernel))
}

/// Why a CUDA device can't run the kernels of Stable Diffusion 3's heads; nothing where it can.
pub fn hindrance(device: &CudaDevice) -> Option<String> {
    let missing = |dtype| prepared(device, dtype, 64, true)?.err();
    missing(DType::BF16).or_else(|| missing(DType::F32))
}

/// Whether the kernel takes these operands, which must be contiguous; compiles it at the first call.
///
/// # Shapes
/// `operands`: `q: [batch, queries, heads * d]`, `k`, `v: [batch, keys, heads * d]`.
pub fn serves(operands: [&Tensor; 3], heads: usize) -> bool {
    let [q, ..] = operands;
    let (Device::Cuda(device), Ok(width)) = (q.device(), q.dim(2)) else {
        return false;
    };
    let aligned = operands.iter().all(|x| is_aligned(x.layout(), x.dtype()));
    matches!(prepared(device, q.dtype(), width / heads, aligned), Some(Ok(_)))
}

fn is_aligned(layout: &Layout, dtype: DType) -> bool {
    layout.start_offset() * dtype.size_in_bytes() % ALIGNMENT == 0
}

/// An operand as a custom operation gets it.
pub type Operand<'a> = (&'a CudaStorage, &'a Layout);

/// `softmax(scale q kᵀ) v` of every head.
///
/// # Shapes
/// `q: [batch, queries, width]`, `k`, `v: [batch, keys, width]`, result like `q`.
pub fn attend(sizes: Sizes, q: Operand, k: Operand, v: Operand) -> Result<CudaStorage> {
    let keys = Shape::from((sizes.batch, sizes.keys, sizes.width));
    if sizes.keys == 0 || *k.1.shape() != keys || *v.1.shape() != keys {
        candle_core::bail!(
            "attention of {:?} over keys {:?} and values {:?}",
            q.1.shape(),
            k.1.shape(),
            v.1.shape()
        )
    }
    match q.0.dtype() {
        DType::BF16 => launch::<bf16>(sizes, q, k, v),
        _ => launch::<f32>(sizes, q, k, v),
    }
}

#[allow(unsafe_code)]
fn launch<T: CudaDType + DeviceRepr + WithDType>(
    sizes: Sizes,
    q: Operand,
    k: Operand,
    v: Operand,
) -> Result<CudaStorage> {
    let device = &q.0.device;
    let aligned = [q.1, k.1, v.1].into_iter().all(|layout| is_aligned(layout, T::DTYPE));
    let Some(kernel) = prepared(device, T::DTYPE, sizes.head, aligned) else {
        candle_core::bail!(
            "there is no attention kernel for heads of {} {:?}",
            sizes.head,
            T::DTYPE
        )
    };
    let kernel = kernel.map_err(Error::msg)?;
    let name = kernel.name();
    // It is loaded already, so that its source is not asked for again.
    let function = device.get_or_load_custom_func(&name, &name, "")?;
    let (q, k, v) = (view::<T>(q)?, view::<T>(k)?, view::<T>(v)?);
    // SAFETY: the kernel writes every value of it, and nothing reads it before.
    let mut out = unsafe { device.alloc::<T>(sizes.batch * sizes.queries * sizes.width)? };
    let [queries, keys, heads, head] = [sizes.queries, sizes.keys, sizes.heads, sizes.head].map(|size| size as i32);
    let scale = sizes.scale();
    let mut arguments = function.builder();
    arguments.arg(&q).arg(&k).arg(&v).arg(&mut out);
    arguments.arg(&queries).arg(&keys).arg(&heads).arg(&head).arg(&scale);
    let config = LaunchConfig {
        grid_dim: (
            sizes.queries.div_ceil(kernel.queries) as u32,
            sizes.heads as u32,
            sizes.batch as u32,
        ),
        block_dim: (THREADS, 1, 1),
        shared_mem_bytes: 0,
    };
    // SAFETY: the arguments are those of the source's signature, in order and type; `attend` compared the shapes, the views
    // hold exactly those values, and the kernel touches no row beyond `queries` and `keys` and no channel beyond the heads'.
    unsafe { arguments.launch(config) }.w()?;
    Ok(CudaStorage::wrap_cuda_slice(out, device.clone()))
}

/// The values of a contiguous operand.
fn view<'a, T: CudaDType>((storage, layout): Operand<'a>) -> Result<CudaView<'a, T>> {
    let Some((start, end)) = layout.contiguous_offsets() else {
        candle_core::bail!("attention was given a strided tensor; call contiguous() first")
    };
    Ok(storage.as_cuda_slice::<T>()?.slice(start..end))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::attention;
    use crate::kernels::attention::plain_attention;
    use crate::sampler::noise::gaussian;

    /// Needs NVRTC but no GPU.
    #[test]
    fn the_source_compiles_for_every_target() {
        for target in [Target::Turing, Target::Ampere] {
            for (dtype, head) in [(DType::F32, 7), (DType::F32, 128), (DType::BF16, 64), (DType::BF16, 16)] {
                let kernel = Kernel::choose(dtype, head, target, true).expect("served");
                let ptx = kernel.compile(target).expect("NVRTC compiles it");
                let entries = ptx.lines().filter(|line| line.contains(".entry")).collect::<Vec<_>>();
                assert_eq!(entries, [format!(".visible .entry {}(", kernel.name())], "{target:?}");
            }
        }
    }

    #[test]
    fn only_aligned_bf16_of_64_takes_the_tensor_cores() {
        let chosen = |dtype, head, target, aligned| Kernel::choose(dtype, head, target, aligned).map(Kernel::name);
        let expect = |name: &str| Some(name.to_owned());
        assert_eq!(
            chosen(DType::BF16, 64, Target::Ampere, true),
            expect("attention_tensor_bf16_64")
        );
        assert_eq!(
            chosen(DType::BF16, 64, Target::Ampere, false),
            expect("attention_bf16_64")
        );
        assert_eq!(
            chosen(DType::BF16, 64, Target::Turing, true),
            expect("attention_bf16_64")
        );
        assert_eq!(
            chosen(DType::BF16, 65, Target::Ampere, true),
            expect("attention_bf16_128")
        );
        assert_eq!(chosen(DType::F32, 64, Target::Ampere, true), expect("attention_f32_64"));
        assert_eq!(chosen(DType::F32, 129, Target::Ampere, true), None);
        assert_eq!(chosen(DType::F16, 64, Target::Ampere, true), None);
    }

    /// Does nothing on a machine without a GPU.
    #[test]
    fn kernels_equal_the_plain_form_on_a_gpu() {
        let Ok(device) = Device::new_cuda(0) else { return };
        let Device::Cuda(cuda) = &device else { return };
        assert_eq!(hindrance(cuda), None);
        for (queries, keys, heads, head) in [
            (1, 1, 1, 64),
            (218, 218, 3, 64),
            (1178, 1178, 24, 64),
            (70, 33, 2, 16),
            (40, 70, 2, 100),
        ] {
            let random = |seed, tokens: usize| {
                let values = gaussian(seed, 0, 0, 2 * tokens * heads * head);
                Tensor::from_vec(values, (2, tokens, heads * head), &device).unwrap()
            };
            let operands = [random(1, queries), random(2, keys), random(3, keys)];
            for (dtype, tolerance) in [(DType::F32, 1e-5), (DType::BF16, 1.0 / 128.0)] {
                let [q, k, v] = operands.each_ref().map(|x| x.to_dtype(dtype).unwrap());
                let wide = |x: &Tensor| x.to_dtype(DType::F32).unwrap();
                let ours = wide(&attention(&q, &k, &v, heads).unwrap());
                let plain = plain_attention(&wide(&q), &wide(&k), &wide(&v), heads).unwrap();
                let largest = |x: &Tensor| x.abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
                let off = largest(&(ours - &plain).unwrap()) / largest(&plain);
                assert!(
                    off < tolerance,
                    "{dtype:?}, {queries} queries, {keys} keys, heads of {head}: off by {off}"
                );
            }
        }
    }
}
