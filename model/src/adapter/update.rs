//! Updates as an adapter file stores them: which tensors make one up, and the matrix that they amount to.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};

use super::peft::Scales;
use crate::error::ModelError;
use crate::io::checkpoint::{Part, Weights, shortened};
use crate::io::layout::{Home, Piece, at_home, update_key};

/// One module's update.
#[derive(Debug)]
pub struct StoredUpdate {
    /// The network it is for.
    pub home: Home,
    /// The module's name there, by the trainer's spelling.
    pub module: String,
    pub form: Form,
    pub scale: f64,
    /// DoRA's magnitude, if any.
    pub magnitude: Option<Magnitude>,
    /// What is added to the bias, if any.
    pub bias: Option<String>,
    /// A tensor of it, for messages.
    pub key: String,
}

/// Names of the tensors that the update is made of.
#[derive(Debug)]
pub enum Form {
    /// `up down`: `[outputs, rank]` and `[rank, inputs]`.
    LowRank { down: String, up: String },
    /// The Kronecker product of two factors (LoKr; Yeh et al. 2024, arXiv:2309.14859).
    Kronecker([Factor; 2]),
    /// The elementwise product of two low-rank products (LoHa, ibid.).
    Hadamard([(String, String); 2]),
}

/// A factor: a matrix, or the product of two.
#[derive(Debug)]
pub enum Factor {
    Whole(String),
    Product(String, String),
}

/// How long the rows of an updated weight are (DoRA; Liu et al. 2024, arXiv:2402.09353).
#[derive(Debug)]
pub enum Magnitude {
    /// PEFT's: rows of the updated weight get this length.
    OfUpdated(String),
    /// LyCORIS', `[outputs, 1]`, as ComfyUI applies it: over the length of the base's rows.
    OverBase(String),
    /// LyCORIS', `[1, inputs]`: columns of the updated weight get this length.
    OfColumns(String),
}

/// All updates of a file.
///
/// # Errors
/// Bad input that names a tensor which belongs to an update and isn't understood.
pub fn read_all(weights: &Weights, scales: &Scales) -> Result<Vec<StoredUpdate>, ModelError> {
    let bad = |what: String| ModelError::BadInput(format!("{}: {what}", weights.name()));
    let (mut modules, mut unread) = (BTreeMap::<String, BTreeMap<Piece, String>>::new(), Vec::new());
    for key in weights.keys() {
        match update_key(key).map(|found| (found.module, found.piece)) {
            None => {}
            Some((_, None)) => unread.push(key.to_owned()),
            Some((module, Some(piece))) => {
                if let Some(first) = modules
                    .entry(module.to_owned())
                    .or_default()
                    .insert(piece, key.to_owned())
                {
                    return Err(bad(format!(
                        "tensors {first} and {key} are the same part of one update"
                    )));
                }
            }
        }
    }
    if !unread.is_empty() {
        return Err(bad(format!(
            "tensors of updates of a kind that isn't read: {}; LoRA, DoRA, LoKr and LoHa on linear layers are",
            shortened(&unread)
        )));
    }
    let updates = modules.into_iter().map(|(module, pieces)| {
        Assembly {
            weights,
            module,
            pieces,
        }
        .update(scales)
    });
    let updates = updates.collect::<Result<Vec<_>, _>>()?;
    for home in updates.iter().map(|update| update.home) {
        let has_magnitudes = updates
            .iter()
            .any(|update| update.home == home && update.magnitude.is_some());
        if scales.wants_magnitudes(home) && !has_magnitudes {
            return Err(bad(
                "its settings say DoRA (use_dora), and it has no lora_magnitude_vector".to_owned(),
            ));
        }
    }
    Ok(updates)
}

/// The tensors of one module while they are put together.
struct Assembly<'a> {
    weights: &'a Weights,
    module: String,
    pieces: BTreeMap<Piece, String>,
}

impl Assembly<'_> {
    fn update(mut self, scales: &Scales) -> Result<StoredUpdate, ModelError> {
        let key = self.pieces.values().next().cloned().unwrap_or_default();
        let (home, module) = at_home(&self.module);
        let module = module.to_owned();
        let (form, rank) = self.form()?;
        let alpha = self.alpha()?;
        let scale = match (&form, rank) {
            // As LyCORIS has it: two whole factors are not scaled.
            (_, None) => 1.0,
            (_, Some(0)) => return Err(self.bad("has rank 0".to_owned())),
            (_, Some(rank)) => scales.of((home, &module), rank, alpha)?,
        };
        let magnitude = self.magnitude()?;
        let bias = self.pieces.remove(&Piece::UpBias);
        if bias.is_some() && (magnitude.is_some() || !matches!(form, Form::LowRank { .. })) {
            return Err(self.bad("has lora_B.bias beside a magnitude (DoRA) or without low-rank matrices".to_owned()));
        }
        if let Some(left) = self.pieces.values().next() {
            return Err(self.bad(format!("has {left} besides, which belongs to another kind of update")));
        }
        if !scale.is_finite() {
            return Err(self.bad(format!("is scaled by {scale}")));
        }
        Ok(StoredUpdate {
            home,
            module,
            form,
            scale,
            magnitude,
            bias,
            key,
        })
    }

    fn bad(&self, what: String) -> ModelError {
        ModelError::BadInput(format!("{}: the update of {} {what}", self.weights.name(), self.module))
    }

    /// A piece that must be there, with the dimensions of its matrix: those after the second are part of it.
    fn matrix(&mut self, piece: Piece, named: &str) -> Result<(String, [usize; 2]), ModelError> {
        let lacking = || self.bad(format!("lacks {named}"));
        let key = self.pieces.get(&piece).cloned().ok_or_else(lacking)?;
        let shape = self.weights.shape(&key).unwrap_or_default();
        let [rows, cols @ ..] = shape.as_slice() else {
            return Err(self.bad(format!("has {key} without dimensions")));
        };
        if cols.is_empty() {
            return Err(self.bad(format!("needs {named} with two dimensions")));
        }
        self.pieces.remove(&piece);
        Ok((key, [*rows, cols.iter().product()]))
    }

    /// Two factors of a product, with the rank between them.
    fn product(&mut self, first: (Piece, &str), second: (Piece, &str)) -> Result<(String, String, usize), ModelError> {
        let (a, [_, inner]) = self.matrix(first.0, first.1)?;
        let (b, [rank, _]) = self.matrix(second.0, second.1)?;
        if inner != rank {
            return Err(self.bad(format!("has rank {rank} in {} and {inner} in {}", second.1, first.1)));
        }
        Ok((a, b, rank))
    }

    /// The form and its rank; LoKr's whole factors have none.
    fn form(&mut self) -> Result<(Form, Option<usize>), ModelError> {
        let has = |piece: Piece| self.pieces.contains_key(&piece);
        if has(Piece::Kron1) || has(Piece::Kron1A) || has(Piece::Kron2) || has(Piece::Kron2A) {
            let (left, rank_1) =
                self.factor(Piece::Kron1, (Piece::Kron1A, "lokr_w1_a"), (Piece::Kron1B, "lokr_w1_b"))?;
            let (right, rank_2) =
                self.factor(Piece::Kron2, (Piece::Kron2A, "lokr_w2_a"), (Piece::Kron2B, "lokr_w2_b"))?;
            return Ok((Form::Kronecker([left, right]), rank_2.or(rank_1)));
        }
        if has(Piece::Hada1A) || has(Piece::Hada2A) {
            let (a, b, rank) = self.product((Piece::Hada1A, "hada_w1_a"), (Piece::Hada1B, "hada_w1_b"))?;
            let (c, d, _) = self.product((Piece::Hada2A, "hada_w2_a"), (Piece::Hada2B, "hada_w2_b"))?;
            return Ok((Form::Hadamard([(a, b), (c, d)]), Some(rank)));
        }
        let (up, down, rank) = self.product((Piece::Up, "lora_B"), (Piece::Down, "lora_A"))?;
        Ok((Form::LowRank { down, up }, Some(rank)))
    }

    fn factor(
        &mut self,
        whole: Piece,
        first: (Piece, &str),
        second: (Piece, &str),
    ) -> Result<(Factor, Option<usize>), ModelError> {
        if self.pieces.contains_key(&whole) {
            return Ok((Factor::Whole(self.matrix(whole, "a factor")?.0), None));
        }
        let (a, b, rank) = self.product(first, second)?;
        Ok((Factor::Product(a, b), Some(rank)))
    }

    fn alpha(&mut self) -> Result<Option<f64>, ModelError> {
        let Some(key) = self.pieces.remove(&Piece::Alpha) else {
            return Ok(None);
        };
        let values = self
            .weights
            .load(&key, DType::F32, &Device::Cpu)?
            .flatten_all()?
            .to_vec1::<f32>()?;
        match values.as_slice() {
            [alpha] => Ok(Some(f64::from(*alpha))),
            _ => Err(self.bad(format!("has {} numbers in {key}, which is one", values.len()))),
        }
    }

    fn magnitude(&mut self) -> Result<Option<Magnitude>, ModelError> {
        if let Some(key) = self.pieces.remove(&Piece::MagnitudeVector) {
            return Ok(Some(Magnitude::OfUpdated(key)));
        }
        let Some(key) = self.pieces.remove(&Piece::DoraScale) else {
            return Ok(None);
        };
        match self.weights.shape(&key).unwrap_or_default().as_slice() {
            [_] => Ok(Some(Magnitude::OverBase(key))),
            [_, rest @ ..] if rest.iter().all(|&side| side == 1) => Ok(Some(Magnitude::OverBase(key))),
            [1, _] => Ok(Some(Magnitude::OfColumns(key))),
            other => Err(self.bad(format!(
                "has a dora_scale of shape {other:?}, neither a row nor a column"
            ))),
        }
    }
}

impl StoredUpdate {
    /// The update's matrix in f32, scaled.
    ///
    /// # Shapes
    /// `[outputs, inputs]`, what comes after the second dimension of a convolution being part of the inputs.
    pub(super) fn delta(&self, weights: &Weights) -> candle_core::Result<Tensor> {
        let read = |key: &String| matrix(weights, key);
        let product = |a: &String, b: &String| read(a)?.matmul(&read(b)?);
        let factor = |factor: &Factor| match factor {
            Factor::Whole(key) => read(key),
            Factor::Product(a, b) => product(a, b),
        };
        let delta = match &self.form {
            Form::LowRank { down, up } => product(up, down)?,
            Form::Kronecker([left, right]) => kronecker(&factor(left)?, &factor(right)?)?,
            Form::Hadamard([(a, b), (c, d)]) => (product(a, b)? * product(c, d)?)?,
        };
        delta * self.scale
    }
}

/// A tensor of the file as a matrix in f32.
pub(super) fn matrix(weights: &Weights, key: &str) -> candle_core::Result<Tensor> {
    let load = weights.load(key, DType::F32, &Device::Cpu);
    load.map_err(|e| candle_core::Error::Msg(e.to_string()))?
        .flatten_from(1)
}

/// `[a, b]` and `[c, d]` to `[a c, b d]`.
fn kronecker(left: &Tensor, right: &Tensor) -> candle_core::Result<Tensor> {
    let ((a, b), (c, d)) = (left.dims2()?, right.dims2()?);
    let (left, right) = (left.reshape((a, 1, b, 1))?, right.reshape((1, c, 1, d))?);
    left.broadcast_mul(&right)?.reshape((a * c, b * d))
}

/// Rows of a tensor, as a layout cuts them out of joined ones.
pub(super) fn cut(tensor: &Tensor, part: Part) -> candle_core::Result<Tensor> {
    match part {
        Part::Whole | Part::Matrix | Part::Batch => Ok(tensor.clone()),
        Part::Rows { index, of } => {
            let rows = tensor.dim(0)?;
            if rows % of != 0 {
                candle_core::bail!("an update of {rows} rows can't be divided into {of}, as its layer is");
            }
            tensor.narrow(0, index * (rows / of), rows / of)?.contiguous()
        }
        Part::HalvesSwapped => {
            let halves = tensor.chunk(2, 0)?;
            match halves.as_slice() {
                [first, second] => Tensor::cat(&[second, first], 0),
                _ => candle_core::bail!("an update of {:?} has no two halves", tensor.dims()),
            }
        }
    }
}
