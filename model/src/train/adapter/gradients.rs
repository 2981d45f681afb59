//! Losses with their gradients, keeping all activations or only those between blocks.

use candle_core::backprop::GradStore;
use candle_core::{DType, Device, Result, Tensor, Var};

use super::network::Network;
use super::objective::{Batch, Conditions, Losses, Objective, velocity_losses};
use crate::error::ModelError;
use crate::mmdit::{Conditioning, Streams, Unchanging};
use crate::sampler::schedule;
use crate::train::gradients::GradientSums;

/// The network's inputs of a batch, on its device and in its dtype.
struct Inputs {
    latents: Tensor,
    scene: Tensor,
    context: Tensor,
    pooled: Tensor,
    timestep: Tensor,
    unchanging: Unchanging,
}

impl Inputs {
    fn new(network: &Network, noisy: &Tensor, on: &Conditions) -> Result<Self> {
        let here = |t: &Tensor| t.to_device(&network.device)?.to_dtype(network.dtype);
        let timesteps: Vec<f32> = on.sigmas.iter().map(|&s| schedule::timestep(s)).collect();
        let timestep = Tensor::new(timesteps, &network.device)?;
        let mask = Tensor::from_vec(on.masks.concat(), (on.masks.len(), on.masks[0].len()), &network.device)?;
        let (pooled, latents) = (here(&on.pooled)?, here(noisy)?);
        let (context, mask) = (here(&on.context)?, mask.to_dtype(network.dtype)?);
        let told = Conditioning {
            timestep: &timestep,
            context: &context,
            pooled: &pooled,
            mask: Some(&mask),
            clean: None,
            origin: None,
        };
        Ok(Self {
            unchanging: network.transformer.unchanging(&told, &latents)?,
            scene: here(&on.scene)?,
            context,
            latents,
            pooled,
            timestep,
        })
    }

    fn embed(&self, network: &Network) -> Result<Streams> {
        let on = Conditioning {
            timestep: &self.timestep,
            context: &self.context,
            pooled: &self.pooled,
            mask: None,
            clean: None,
            origin: None,
        };
        network.transformer.embed(&self.latents, Some(&self.scene), &on)
    }
}

/// The network's velocity without gradients, on the host, in f32.
///
/// # Shapes
/// `noisy: [batch, channels, height, width]`, result alike.
pub fn velocity(network: &Network, noisy: &Tensor, on: &Conditions) -> Result<Tensor> {
    let inputs = Inputs::new(network, noisy, on)?;
    let mut streams = detached(inputs.embed(network)?);
    for index in 0..network.transformer.config().num_layers {
        streams = detached(network.transformer.segment(index, &streams, &inputs.unchanging)?);
    }
    let velocity = network.transformer.output(&streams.image, &inputs.unchanging)?;
    velocity.detach().to_dtype(DType::F32)?.to_device(&Device::Cpu)
}

/// The losses of a batch; their gradients are added to `sums`.
pub fn losses(
    network: &Network,
    batch: &Batch,
    objective: &Objective,
    checkpointing: bool,
    sums: &mut GradientSums,
) -> std::result::Result<Losses, ModelError> {
    let inputs = Inputs::new(network, &batch.noisy()?, &batch.on)?;
    if checkpointing {
        checkpointed(network, batch, objective, &inputs, sums)
    } else {
        let mut streams = inputs.embed(network)?;
        for index in 0..network.transformer.config().num_layers {
            streams = network.transformer.segment(index, &streams, &inputs.unchanging)?;
        }
        let output = network.transformer.output(&streams.image, &inputs.unchanging)?;
        let losses = velocity_losses(&output, batch, objective)?;
        sums.add(&network.variables, &losses.total.backward()?)?;
        Ok(losses)
    }
}

/// Forward once, keeping the streams between segments; then each segment again from its inputs, last to first, its graph
/// dropped as soon as its gradients are known. Nothing of the base is trained, so timestep and pooled text need none.
fn checkpointed(
    network: &Network,
    batch: &Batch,
    objective: &Objective,
    inputs: &Inputs,
    sums: &mut GradientSums,
) -> std::result::Result<Losses, ModelError> {
    let (transformer, on) = (&network.transformer, &inputs.unchanging);
    let mut kept = vec![detached(inputs.embed(network)?)];
    for index in 0..transformer.config().num_layers {
        let next = detached(transformer.segment(index, &kept[index], on)?);
        kept.push(next);
    }
    let image = match kept.pop() {
        Some(last) => Var::from_tensor(&last.image)?,
        None => {
            return Err(ModelError::BadInput(
                "a transformer without blocks can't be trained".into(),
            ));
        }
    };
    let output = transformer.output(image.as_tensor(), on)?;
    let losses = velocity_losses(&output, batch, objective)?;
    let grads = losses.total.backward()?;
    sums.add(&network.variables, &grads)?;
    let mut above = StreamGradients {
        image: grads.get(image.as_tensor()).cloned(),
        ..StreamGradients::default()
    };
    drop((grads, output));
    for index in (0..transformer.config().num_layers).rev() {
        let Some(streams) = kept.pop() else { break };
        let variables = StreamVariables::new(&streams)?;
        let out = transformer.segment(index, &variables.streams(), on)?;
        let Some(pull) = above.pull(&out)? else { break };
        let grads = pull.backward()?;
        sums.add(&network.variables, &grads)?;
        above = variables.gradients(&grads);
    }
    // The embeddings: only the clean path's is ever trained.
    if let Some(pull) = above.pull(&inputs.embed(network)?)? {
        sums.add(&network.variables, &pull.backward()?)?;
    }
    Ok(losses)
}

fn detached(streams: Streams) -> Streams {
    Streams {
        image: streams.image.detach(),
        context: streams.context.map(|t| t.detach()),
        clean: streams.clean.map(|t| t.detach()),
    }
}

/// A segment's inputs as variables, so that the backward pass ends at them.
struct StreamVariables {
    image: Var,
    context: Option<Var>,
    clean: Option<Var>,
}

impl StreamVariables {
    fn new(streams: &Streams) -> Result<Self> {
        let var = |t: &Option<Tensor>| t.as_ref().map(Var::from_tensor).transpose();
        Ok(Self {
            image: Var::from_tensor(&streams.image)?,
            context: var(&streams.context)?,
            clean: var(&streams.clean)?,
        })
    }

    fn streams(&self) -> Streams {
        let tensor = |v: &Option<Var>| v.as_ref().map(|v| v.as_tensor().clone());
        Streams {
            image: self.image.as_tensor().clone(),
            context: tensor(&self.context),
            clean: tensor(&self.clean),
        }
    }

    fn gradients(&self, grads: &GradStore) -> StreamGradients {
        let of = |v: &Option<Var>| v.as_ref().and_then(|v| grads.get(v.as_tensor()).cloned());
        StreamGradients {
            image: grads.get(self.image.as_tensor()).cloned(),
            context: of(&self.context),
            clean: of(&self.clean),
        }
    }
}

/// Gradients of the loss with respect to the streams between two segments.
#[derive(Default)]
struct StreamGradients {
    image: Option<Tensor>,
    context: Option<Tensor>,
    clean: Option<Tensor>,
}

impl StreamGradients {
    /// A scalar whose gradient with respect to `streams` are these gradients: their inner product.
    fn pull(&self, streams: &Streams) -> Result<Option<Tensor>> {
        let parts = [
            (Some(&streams.image), &self.image),
            (streams.context.as_ref(), &self.context),
            (streams.clean.as_ref(), &self.clean),
        ];
        let mut total: Option<Tensor> = None;
        for (stream, gradient) in parts {
            if let (Some(stream), Some(gradient)) = (stream, gradient) {
                let part = (stream * gradient.detach())?.sum_all()?;
                total = Some(match total {
                    Some(sum) => (sum + part)?,
                    None => part,
                });
            }
        }
        Ok(total)
    }
}
