//! The one door to the `gemm` crate (candle's own matrix product), for products inside fused operations.

/// A row-major view into a slice: `rows x cols`, consecutive rows `stride` values apart.
#[derive(Clone, Copy)]
pub struct View<'a> {
    pub data: &'a [f32],
    pub rows: usize,
    pub cols: usize,
    pub stride: usize,
    pub transposed: bool,
}

impl<'a> View<'a> {
    pub fn new(data: &'a [f32], rows: usize, cols: usize, stride: usize) -> Self {
        assert!(
            rows == 0 || (rows - 1) * stride + cols <= data.len(),
            "view reaches past its data"
        );
        Self {
            data,
            rows,
            cols,
            stride,
            transposed: false,
        }
    }

    /// The same values read as `cols x rows`.
    pub fn t(self) -> Self {
        Self {
            transposed: !self.transposed,
            ..self
        }
    }

    fn shape(&self) -> (usize, usize) {
        if self.transposed {
            (self.cols, self.rows)
        } else {
            (self.rows, self.cols)
        }
    }

    fn strides(&self) -> (isize, isize) {
        let stride = self.stride as isize;
        if self.transposed { (1, stride) } else { (stride, 1) }
    }
}

/// `out = keep * out + scale * a b` on the calling thread; `out` has rows `out_stride` values apart.
pub fn matmul_into(out: &mut [f32], out_stride: usize, keep: f32, scale: f32, a: View, b: View) {
    product(out, out_stride, keep, scale, a, b, gemm::Parallelism::None);
}

/// `out += a b` on all threads; `out` has rows `out_stride` values apart.
pub fn matmul_add_threaded(out: &mut [f32], out_stride: usize, a: View, b: View) {
    product(out, out_stride, 1.0, 1.0, a, b, gemm::Parallelism::Rayon(0));
}

fn product(out: &mut [f32], out_stride: usize, keep: f32, scale: f32, a: View, b: View, threads: gemm::Parallelism) {
    let ((m, k), (k2, n)) = (a.shape(), b.shape());
    assert_eq!(k, k2, "inner dimensions differ");
    if m == 0 || n == 0 {
        return;
    }
    assert!((m - 1) * out_stride + n <= out.len(), "result reaches past its buffer");
    let ((a_rs, a_cs), (b_rs, b_cs)) = (a.strides(), b.strides());
    // SAFETY: both views were checked against their slices when made, the result against `out` above, and `out` is
    // borrowed mutably, so it overlaps neither. Fused attention needs products on slices of larger rows without a copy.
    #[allow(unsafe_code)]
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            out.as_mut_ptr(),
            1,
            out_stride as isize,
            keep != 0.0,
            a.data.as_ptr(),
            a_cs,
            a_rs,
            b.data.as_ptr(),
            b_cs,
            b_rs,
            keep,
            scale,
            false,
            false,
            false,
            threads,
        );
    }
}
