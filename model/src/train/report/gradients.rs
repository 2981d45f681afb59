//! Gradient norms per layer, and tensors that never get one.

use std::collections::{BTreeMap, BTreeSet};

/// Steps before a tensor without a gradient is worth a word: zero projections hide what is behind them from the first.
const PATIENCE_STEPS: usize = 3;

/// A layer's gradient norm.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerNorm {
    /// Such as `transformer_blocks.0.attn.to_q_clean`.
    pub layer: String,
    /// Of the mean gradient, before clipping.
    pub norm: f32,
}

/// Watches the gradients of every trained tensor.
pub struct GradientWatch {
    silent: BTreeSet<String>,
    steps: usize,
    has_warned: bool,
    squares: BTreeMap<String, f64>,
}

impl GradientWatch {
    /// Over these tensors.
    pub fn new<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        Self {
            silent: names.map(str::to_owned).collect(),
            steps: 0,
            has_warned: false,
            squares: BTreeMap::new(),
        }
    }

    /// Sees a step's gradients; returns the norm of all.
    pub fn see<'a>(&mut self, gradients: impl Iterator<Item = (&'a str, Option<&'a [f32]>)>) -> f32 {
        self.steps += 1;
        self.squares.clear();
        for (name, gradient) in gradients {
            let square: f64 = gradient.unwrap_or_default().iter().map(|&g| f64::from(g).powi(2)).sum();
            if square != 0.0 {
                self.silent.remove(name);
            }
            *self.squares.entry(layer_of(name)).or_default() += square;
        }
        self.squares.values().sum::<f64>().sqrt() as f32
    }

    /// Norms of the last step.
    pub fn norms(&self) -> Vec<LayerNorm> {
        let norm = |(layer, square): (&String, &f64)| LayerNorm {
            layer: layer.clone(),
            norm: square.sqrt() as f32,
        };
        self.squares.iter().map(norm).collect()
    }

    /// A warning, once, when tensors still have had no gradient.
    pub fn warning(&mut self) -> Option<String> {
        if self.has_warned || self.steps < PATIENCE_STEPS || self.silent.is_empty() {
            return None;
        }
        self.has_warned = true;
        let names: Vec<&str> = self.silent.iter().map(String::as_str).take(3).collect();
        Some(format!(
            "{} trained tensors have had no gradient in {} steps, so they learn nothing: {}{}",
            self.silent.len(),
            self.steps,
            names.join(", "),
            if self.silent.len() > names.len() {
                " and more"
            } else {
                ""
            }
        ))
    }
}

fn layer_of(name: &str) -> String {
    let name = name.trim_end_matches(".weight").trim_end_matches(".bias");
    name.trim_end_matches(".lora_A").trim_end_matches(".lora_B").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tensor_without_gradient_is_named_once() {
        let mut watch = GradientWatch::new(["a.lora_A.weight", "a.lora_B.weight", "b.bias"].into_iter());
        for step in 0..4 {
            let norm = watch.see(
                [
                    ("a.lora_A.weight", Some(&[3.0, 0.0][..])),
                    ("a.lora_B.weight", Some(&[4.0][..])),
                    ("b.bias", (step > 9).then_some(&[1.0][..])),
                ]
                .into_iter(),
            );
            assert!((norm - 5.0).abs() < 1e-6);
            let warning = watch.warning();
            assert_eq!(warning.is_some(), step == 2, "{warning:?}");
            assert!(warning.is_none_or(|w| w.contains("b.bias") && !w.contains("a.lora")));
        }
        let norms: Vec<_> = watch.norms().into_iter().map(|n| (n.layer, n.norm)).collect();
        assert_eq!(norms, [("a".to_owned(), 5.0), ("b".to_owned(), 0.0)]);
    }
}
