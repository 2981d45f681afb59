//! What `mdsd3 info` says of this program's own models.

use crate::config::MiniConfig;
use crate::error::ModelError;
use crate::inspect::{ModelReport, TransformerCheck, classes, memory, part_report};
use crate::io::checkpoint::{Part, Weights};

/// Describes a model of this program by its config and weights.
pub fn report(json: &str, weights: &Weights) -> Result<ModelReport, ModelError> {
    let config = MiniConfig::parse(json)?;
    let of = |part: &str| {
        let prefix = format!("{part}.");
        weights.renamed(|key| {
            let name = key.strip_prefix(&prefix).map(str::to_owned);
            name.map(|name| (name, Part::Whole)).into_iter().collect()
        })
    };
    let transformer = of("transformer");
    let check = TransformerCheck::of(&config.transformer, &transformer, None, [None; 3])?;
    let known = ["autoencoder.", "transformer.", "context.", "prediction."];
    let mut unknown: Vec<String> = weights
        .keys()
        .filter(|k| !known.iter().any(|p| k.starts_with(p)))
        .map(str::to_owned)
        .collect();
    unknown.extend(check.unknown);
    let factor = config.autoencoder.factor * config.transformer.patch_size;
    Ok(ModelReport {
        name: config.name.clone(),
        family: format!("MDSD3 model of this program, prediction {}", config.predicted()),
        clean_path: check.clean_path,
        classes: classes(&config.transformer),
        parts: ["transformer", "autoencoder", "context", "prediction"]
            .iter()
            .map(|name| part_report(name, &of(name)))
            .collect(),
        size_multiple_px: factor,
        max_size_px: factor * config.transformer.pos_embed_max_size,
        missing: check.missing,
        unknown,
        memory: memory(
            &config.transformer,
            |dtype| weights.resident_bytes(dtype),
            0,
            factor,
            &[256],
        ),
        config: config.transformer,
    })
}
