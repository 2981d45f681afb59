//! Scalar functions written so that the compiler vectorises loops over them, and reductions in lanes.

/// Lanes of a reduction: wide enough for AVX-512, a multiple of everything narrower.
pub const LANES: usize = 16;

/// `1.5 * 2^23`: adding it to a small number rounds that to an integer, which the sum's low bits hold.
const ROUND: f32 = 12_582_912.0;

/// `2^n` of the integer that `n + ROUND` holds, for normal results. No conversion, which would check for overflow.
#[inline(always)]
fn power_of_two(rounded: f32) -> f32 {
    f32::from_bits((rounded.to_bits() << 23).wrapping_add(127 << 23))
}

/// `a b + c`, rounded once where `FUSED`, which is fast only where [`fuses`] says so.
#[inline(always)]
fn multiply_add<const FUSED: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FUSED { a.mul_add(b, c) } else { a * b + c }
}

/// Whether [`widest`] compiles `mul_add` to an instruction on this processor.
pub fn fuses() -> bool {
    !matches!(pulp::Arch::new(), pulp::Arch::Scalar)
}

/// `2^x` for `x <= 0` with a relative error below 2.5e-7, `2^-126` below -126.
///
/// The nearest integer goes into the exponent; a polynomial of degree 5, of least largest relative error with ln 2 as its slope at
/// 0, gives the rest.
#[inline(always)]
pub fn exp2_falling<const FUSED: bool>(x: f32) -> f32 {
    // Not `max`, which would hide a NaN.
    let x = if x < -126.0 { -126.0 } else { x };
    let rounded = x + ROUND;
    let r = x - (rounded - ROUND);
    let p = 1.330_060_6e-3;
    let p = multiply_add::<FUSED>(p, r, 9.669_691e-3);
    let p = multiply_add::<FUSED>(p, r, 5.550_558_5e-2);
    let p = multiply_add::<FUSED>(p, r, 2.402_228_2e-1);
    let p = multiply_add::<FUSED>(p, r, std::f32::consts::LN_2);
    multiply_add::<FUSED>(p, r, 1.0) * power_of_two(rounded)
}

/// `e^x` with a relative error below 2.5e-7 for `x` in `-87..=88`, clamped outside.
///
/// Cody and Waite's range reduction by ln 2 and a degree-6 polynomial; no branches and no calls, so loops vectorise.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    const LN2_HI: f32 = 0.693_359_4;
    const LN2_LO: f32 = -2.121_944_4e-4;
    let x = x.clamp(-87.0, 88.0);
    let rounded = x * std::f32::consts::LOG2_E + ROUND;
    let n = rounded - ROUND;
    let r = (x - n * LN2_HI) - n * LN2_LO;
    let p = 1.398_2e-3 * r + 8.333_452e-3;
    let p = p * r + 4.166_579_6e-2;
    let p = p * r + 1.666_666_5e-1;
    let p = p * r + 0.5;
    let p = p * (r * r) + r + 1.0;
    p * power_of_two(rounded)
}

/// `tanh x` through [`exp`]; absolute error below 2e-7.
#[inline(always)]
pub fn tanh(x: f32) -> f32 {
    1.0 - 2.0 / (exp(2.0 * x) + 1.0)
}

/// The largest value, `-inf` for an empty slice.
#[inline(always)]
pub fn max(values: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let chunks = values.chunks_exact(LANES);
    let rest = chunks.remainder();
    for chunk in chunks {
        for (lane, &value) in lanes.iter_mut().zip(chunk) {
            *lane = if value > *lane { value } else { *lane };
        }
    }
    lanes
        .iter()
        .chain(rest)
        .fold(f32::NEG_INFINITY, |a, &b| if b > a { b } else { a })
}

/// The sum of `f(i)` over a slice's indices, added up in lanes.
#[inline(always)]
pub fn sum_by(len: usize, f: impl Fn(usize) -> f32) -> f32 {
    let mut lanes = [0f32; LANES];
    let whole = len / LANES * LANES;
    for start in (0..whole).step_by(LANES) {
        for (offset, lane) in lanes.iter_mut().enumerate() {
            *lane += f(start + offset);
        }
    }
    lanes.iter().sum::<f32>() + (whole..len).map(f).sum::<f32>()
}

/// Runs a loop compiled for the widest instruction set of this processor.
#[inline(always)]
pub fn widest<R>(f: impl FnOnce() -> R) -> R {
    pulp::Arch::new().dispatch(f)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Largest relative error over evenly spaced arguments.
    fn error(from: f64, to: f64, f: impl Fn(f32) -> f32, exact: impl Fn(f64) -> f64) -> f64 {
        let at = |i: u32| (from + (to - from) * f64::from(i) / 1e6) as f32;
        let relative = |x: f32| (f64::from(f(x)) / exact(f64::from(x)) - 1.0).abs();
        (0..=1_000_000).map(at).map(relative).fold(0.0, f64::max)
    }

    #[test]
    fn exponentials_are_as_accurate_as_they_say() {
        assert!(error(-87.0, 88.0, exp, f64::exp) < 2.5e-7);
        assert!(error(-126.0, 0.0, exp2_falling::<false>, f64::exp2) < 2.5e-7);
        assert!(error(-126.0, 0.0, exp2_falling::<true>, f64::exp2) < 2.5e-7);
        for power in [exp2_falling::<false>, exp2_falling::<true>] {
            assert!((power(0.0) - 1.0).abs() < f32::EPSILON && power(-1e30) < 1e-37 && power(f32::NAN).is_nan());
        }
    }
}
