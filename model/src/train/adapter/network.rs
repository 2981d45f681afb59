//! The frozen base with what is trained beside and in it.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{DType, Device, Shape, Tensor, Var};
use candle_nn::VarBuilder;
use candle_nn::var_builder::SimpleBackend;

use super::recipe::{AdapterRecipe, CleanPathMode};
use crate::adapter::clean_path_starts;
use crate::config::MmditConfig;
use crate::error::ModelError;
use crate::io::checkpoint::Weights;
use crate::io::skeleton::Skeleton;
use crate::mmdit::Mmdit;
use crate::sampler::noise::gaussian;
use crate::train::optimizer::Optimizer;
use crate::train::variables::name_key;

/// A tensor that is trained, with what it starts at.
pub struct Start {
    pub shape: Vec<usize>,
    pub values: StartValues,
}

/// Where a trained tensor starts.
#[derive(Debug, Clone, PartialEq)]
pub enum StartValues {
    /// Zero projections, and the outer half of every low-rank update.
    Zero,
    /// The inner half: normal values of this deviation.
    Normal(f64),
    /// A tensor of the base.
    Base(String),
}

/// What a recipe trains over a base of this shape, by name. Nothing is read.
///
/// # Errors
/// Bad input when a target names no layer.
pub fn starts(
    recipe: &AdapterRecipe,
    config: &MmditConfig,
    base: &Weights,
) -> Result<BTreeMap<String, Start>, ModelError> {
    let skeleton = Skeleton::new(None);
    Mmdit::with_clean_path(config, skeleton.builder(), true)?;
    let shapes = skeleton.shapes();
    let whole_path = recipe.adapter.clean_path == CleanPathMode::Trained;
    let aliases: HashMap<String, String> = clean_path_starts(config).into_iter().collect();
    let mut starts = BTreeMap::new();
    for (name, shape) in &shapes {
        let values = if name.contains("zero_block") {
            if base.contains(name) {
                StartValues::Base(name.clone())
            } else {
                StartValues::Zero
            }
        } else if whole_path && is_clean(name) && !name.ends_with("pos_embed") {
            let own = base.contains(name).then(|| name.clone());
            match own.or_else(|| aliases.get(name).cloned()) {
                Some(source) => StartValues::Base(source),
                None => continue,
            }
        } else {
            continue;
        };
        starts.insert(
            name.clone(),
            Start {
                shape: shape.clone(),
                values,
            },
        );
    }
    add_updates(recipe, config, &shapes, &mut starts)?;
    Ok(starts)
}

fn is_clean(name: &str) -> bool {
    name.contains("_clean")
}

/// Low-rank updates of the targets. What is fully trained gets none, and neither does the last block's context query,
/// whose output nobody reads.
fn add_updates(
    recipe: &AdapterRecipe,
    config: &MmditConfig,
    shapes: &BTreeMap<String, Vec<usize>>,
    starts: &mut BTreeMap<String, Start>,
) -> Result<(), ModelError> {
    let idle = config.unread_layer();
    for target in &recipe.adapter.targets {
        let suffix = format!(".{target}.weight");
        let mut found = false;
        for (name, shape) in shapes.iter().filter(|(name, _)| name.ends_with(&suffix)) {
            found = true;
            let module = name.trim_end_matches(".weight");
            let &[outputs, inputs] = shape.as_slice() else {
                continue;
            };
            if starts.contains_key(name) || module == idle {
                continue;
            }
            let rank = recipe.adapter.rank;
            let down = Start {
                shape: vec![rank, inputs],
                values: StartValues::Normal((1.0 / inputs as f64).sqrt()),
            };
            let up = Start {
                shape: vec![outputs, rank],
                values: StartValues::Zero,
            };
            starts.insert(format!("{module}.lora_A.weight"), down);
            starts.insert(format!("{module}.lora_B.weight"), up);
        }
        if !found {
            return Err(ModelError::BadInput(format!(
                "adapter.targets names {target:?}, which is no layer of this transformer's blocks; the usual ones are to_q_clean, to_k_clean, to_v_clean, to_out_clean.0, add_q_proj, add_k_proj, add_v_proj, to_add_out"
            )));
        }
    }
    Ok(())
}

/// The network under training.
pub struct Network {
    pub transformer: Mmdit,
    pub variables: BTreeMap<String, Var>,
    pub device: Device,
    pub dtype: DType,
}

impl Network {
    /// Builds it over `base`, whose tensors have diffusers' names, and the optimiser with f32 values of what is trained.
    pub fn new(
        recipe: &AdapterRecipe,
        config: &MmditConfig,
        base: &Weights,
        device: &Device,
        dtype: DType,
    ) -> Result<(Self, Optimizer), ModelError> {
        let mut variables = BTreeMap::new();
        let mut masters = BTreeMap::new();
        for (name, start) in starts(recipe, config, base)? {
            let values = start_values(recipe, base, &name, &start)?;
            let tensor = Tensor::from_slice(&values, start.shape.as_slice(), &Device::Cpu)?
                .to_dtype(dtype)?
                .to_device(device)?;
            variables.insert(name.clone(), Var::from_tensor(&tensor)?);
            masters.insert(name, values);
        }
        let backend = Backend {
            base: base.clone(),
            aliases: Arc::new(clean_path_starts(config).into_iter().collect()),
            variables: Arc::new(variables.clone()),
            scale: Tensor::full((recipe.adapter.alpha / recipe.adapter.rank as f64) as f32, (), device)?
                .to_dtype(dtype)?,
            loaded: Arc::default(),
        };
        let builder = VarBuilder::from_backend(Box::new(backend), dtype, device.clone());
        let transformer = Mmdit::with_clean_path(config, builder.into(), true)
            .map_err(|e| ModelError::in_tensors(base.name(), &e))?;
        let mut optimizer = Optimizer::of(variables.clone())?;
        for slot in &mut optimizer.slots {
            if let Some(values) = masters.remove(&slot.name) {
                slot.average.clone_from(&values);
                slot.value = values;
            }
        }
        let network = Self {
            transformer,
            variables,
            device: device.clone(),
            dtype,
        };
        Ok((network, optimizer))
    }

    /// Writes the adapter file: averages of what is trained, in f32.
    pub fn export(recipe: &AdapterRecipe, optimizer: &Optimizer, path: &Path) -> Result<(), ModelError> {
        let tensors = optimizer
            .slots
            .iter()
            .map(|slot| {
                let tensor = Tensor::from_slice(&slot.average, slot.shape(), &Device::Cpu)?;
                Ok((slot.name.clone(), tensor))
            })
            .collect::<candle_core::Result<HashMap<_, _>>>()?;
        crate::adapter::write(path, &tensors, &recipe.classes, Some(recipe.adapter.alpha))
    }
}

fn start_values(recipe: &AdapterRecipe, base: &Weights, name: &str, start: &Start) -> Result<Vec<f32>, ModelError> {
    let len = start.shape.iter().product();
    Ok(match &start.values {
        StartValues::Zero => vec![0.0; len],
        StartValues::Normal(deviation) => gaussian(recipe.seed, name_key(name), 0, len)
            .into_iter()
            .map(|n| (f64::from(n) * deviation) as f32)
            .collect(),
        StartValues::Base(source) => base.load(source, DType::F32, &Device::Cpu)?.flatten_all()?.to_vec1()?,
    })
}

/// Serves variables, and frozen tensors of the base; those that the clean path shares with the image stream only once.
#[derive(Clone)]
struct Backend {
    base: Weights,
    aliases: Arc<HashMap<String, String>>,
    variables: Arc<BTreeMap<String, Var>>,
    /// `alpha / rank`.
    scale: Tensor,
    loaded: Arc<Mutex<HashMap<String, Tensor>>>,
}

impl Backend {
    fn source<'a>(&'a self, name: &'a str) -> &'a str {
        match self.aliases.get(name) {
            Some(own) if !self.base.contains(name) => own,
            _ => name,
        }
    }
}

impl SimpleBackend for Backend {
    fn get(
        &self,
        shape: Shape,
        name: &str,
        _: candle_nn::Init,
        dtype: DType,
        device: &Device,
    ) -> candle_core::Result<Tensor> {
        let tensor = self.get_unchecked(name, dtype, device)?;
        if tensor.shape() != &shape {
            candle_core::bail!(
                "tensor {name} has shape {:?}, the config asks for {:?}",
                tensor.dims(),
                shape.dims()
            );
        }
        Ok(tensor)
    }

    fn get_unchecked(&self, name: &str, dtype: DType, device: &Device) -> candle_core::Result<Tensor> {
        if name.ends_with(".lora_strength") {
            return Ok(self.scale.clone());
        }
        if let Some(var) = self.variables.get(name) {
            return Ok(var.as_tensor().clone());
        }
        let source = self.source(name);
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(tensor) = loaded.get(source) {
            return Ok(tensor.clone());
        }
        let tensor = self.base.get_unchecked(source, dtype, device)?;
        loaded.insert(source.to_owned(), tensor.clone());
        Ok(tensor)
    }

    fn contains_tensor(&self, name: &str) -> bool {
        self.variables.contains_key(name) || self.base.contains(self.source(name))
    }
}
