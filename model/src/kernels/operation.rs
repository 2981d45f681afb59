//! What a fused operation says of itself, and the rest that candle asks of every custom operation.

use candle_core::{CpuStorage, CustomOp1, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor, WithDType};

use super::real::{Format, by_format, contiguous, fused};
use super::timed;

/// A contiguous tensor on the CPU.
pub struct Operand<'a, T> {
    /// Its values in row-major order.
    pub values: &'a [T],
    /// Its shape.
    pub shape: &'a Shape,
}

/// A fused operation with a gradient, on `N` tensors of one format.
pub trait Operation<const N: usize>: Send + Sync + 'static {
    /// What errors and the profile call it.
    fn name(&self) -> &'static str;

    /// Shape of the result: the first operand's, unless it says otherwise.
    fn shape(&self, operands: [&Shape; N]) -> Result<Shape> {
        Ok(operands[0].clone())
    }

    /// The values of the result.
    fn forward<T: Format>(&self, operands: [Operand<T>; N]) -> Result<Vec<T>>;

    /// The gradient of each operand for the gradient `grad` of the result; `None` where nobody asks for it.
    fn backward(&self, operands: [&Tensor; N], grad: &Tensor) -> Result<[Option<Tensor>; N]>;
}

/// A pass over a tensor: fused where [`fused`] says so, `plain` elsewhere.
///
/// # Shapes
/// Any; the operation says which.
pub fn pass1(operation: impl Operation<1>, x: &Tensor, plain: impl FnOnce() -> Result<Tensor>) -> Result<Tensor> {
    pass(operation, x, |operation| x.contiguous()?.apply_op1(operation), plain)
}

/// As [`pass1`], over two tensors.
///
/// # Shapes
/// As [`pass1`].
pub fn pass2(
    operation: impl Operation<2>,
    [a, b]: [&Tensor; 2],
    plain: impl FnOnce() -> Result<Tensor>,
) -> Result<Tensor> {
    pass(operation, a, |operation| apply2(operation.0, [a, b]), plain)
}

/// As [`pass1`], over three tensors.
///
/// # Shapes
/// As [`pass1`].
pub fn pass3(
    operation: impl Operation<3>,
    [a, b, c]: [&Tensor; 3],
    plain: impl FnOnce() -> Result<Tensor>,
) -> Result<Tensor> {
    pass(operation, a, |operation| apply3(operation.0, [a, b, c]), plain)
}

fn pass<F: Operation<N>, const N: usize>(
    operation: F,
    x: &Tensor,
    apply: impl FnOnce(Custom<F>) -> Result<Tensor>,
    plain: impl FnOnce() -> Result<Tensor>,
) -> Result<Tensor> {
    let run = |operation| if fused(x) { apply(Custom(operation)) } else { plain() };
    timed(operation.name(), x.device(), || 0, || run(operation))
}

/// The fused operation, for those who have decided on it.
///
/// # Shapes
/// As [`pass1`].
pub fn apply2(operation: impl Operation<2>, [a, b]: [&Tensor; 2]) -> Result<Tensor> {
    a.contiguous()?.apply_op2(&b.contiguous()?, Custom(operation))
}

/// As [`apply2`], on three.
///
/// # Shapes
/// As [`pass1`].
pub fn apply3(operation: impl Operation<3>, [a, b, c]: [&Tensor; 3]) -> Result<Tensor> {
    a.contiguous()?
        .apply_op3(&b.contiguous()?, &c.contiguous()?, Custom(operation))
}

struct Custom<F>(F);

fn run<F: Operation<N>, const N: usize>(
    operation: &F,
    operands: [(&CpuStorage, &Layout); N],
) -> Result<(CpuStorage, Shape)> {
    let shape = operation.shape(operands.map(|(_, layout)| layout.shape()))?;
    let out = by_format!(operands[0].0, T => T::to_cpu_storage_owned(values::<F, T, N>(operation, operands)?));
    Ok((out, shape))
}

fn values<F: Operation<N>, T: Format, const N: usize>(
    operation: &F,
    operands: [(&CpuStorage, &Layout); N],
) -> Result<Vec<T>> {
    let mut failure = None;
    let operands = operands.map(|(storage, layout)| Operand {
        values: contiguous(storage, layout).unwrap_or_else(|error| {
            failure = Some(error);
            &[]
        }),
        shape: layout.shape(),
    });
    match failure {
        Some(error) => Err(error),
        None => operation.forward(operands),
    }
}

impl<F: Operation<1>> CustomOp1 for Custom<F> {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        run(&self.0, [(storage, layout)])
    }

    fn bwd(&self, x: &Tensor, _res: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let [gradient] = self.0.backward([x], grad)?;
        Ok(gradient)
    }
}

impl<F: Operation<2>> CustomOp2 for Custom<F> {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn cpu_fwd(&self, s1: &CpuStorage, l1: &Layout, s2: &CpuStorage, l2: &Layout) -> Result<(CpuStorage, Shape)> {
        run(&self.0, [(s1, l1), (s2, l2)])
    }

    fn bwd(&self, a: &Tensor, b: &Tensor, _res: &Tensor, grad: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        Ok(self.0.backward([a, b], grad)?.into())
    }
}

impl<F: Operation<3>> CustomOp3 for Custom<F> {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
        s3: &CpuStorage,
        l3: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        run(&self.0, [(s1, l1), (s2, l2), (s3, l3)])
    }

    fn bwd(
        &self,
        a: &Tensor,
        b: &Tensor,
        c: &Tensor,
        _res: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        Ok(self.0.backward([a, b, c], grad)?.into())
    }
}
