//! What `mdsd3 info` says of a Stable Diffusion 3 checkpoint.

use std::path::Path;

use candle_core::{DType, Device};
use mdsd3_words::ModelParts;

use super::config_with_classes;
use crate::adapter::Adapter;
use crate::autoencoder::{KlAutoencoder, KlConfig};
use crate::error::ModelError;
use crate::inspect::{ModelReport, PartReport, TransformerCheck, classes, compare, memory, part_report};
use crate::io::layout::{AutoencoderKind, Sd3Checkpoint, TEXT_PARTS};
use crate::io::skeleton::Skeleton;
use crate::text::TextEncoders;

/// Describes a checkpoint with its parts.
pub fn report(path: &Path, parts: &ModelParts) -> Result<ModelReport, ModelError> {
    let checkpoint = Sd3Checkpoint::open(path, parts)?;
    let adapter = parts.adapter.as_deref().map(Adapter::open).transpose()?;
    let config = config_with_classes(&checkpoint.config, adapter.as_ref())?;
    let encoders = checkpoint.text.weights();
    let check = TransformerCheck::of(&config, &checkpoint.transformer, adapter.as_ref(), encoders)?;
    let mut found = Found {
        reports: vec![part_report("transformer", &checkpoint.transformer)],
        missing: check.missing,
        unknown: check.unknown,
    };
    found.unknown.extend(checkpoint.unknown.clone());
    if let (Some(adapter), Some(file)) = (&adapter, &parts.adapter) {
        let name = format!("adapter, {} low-rank updates", adapter.updates());
        found.reports.push(PartReport {
            file: file.display().to_string(),
            ..part_report(&name, adapter.weights())
        });
    }
    found.codecs(&checkpoint)?;
    found.text(&checkpoint, config.joint_attention_dim);
    let updates = adapter.as_ref().map_or(0, Adapter::parameters);
    let transformer =
        |dtype: DType| checkpoint.transformer.resident_bytes(dtype) + updates * dtype.size_in_bytes() as u64;
    let autoencoder = checkpoint
        .autoencoder
        .as_ref()
        .map_or(0, |a| a.part.weights.parameters());
    Ok(ModelReport {
        name: checkpoint.name.clone(),
        family: format!("Stable Diffusion 3: {}, {}", checkpoint.release(), checkpoint.layout),
        clean_path: check.clean_path,
        classes: classes(&config),
        parts: found.reports,
        size_multiple_px: 8 * config.patch_size,
        max_size_px: 8 * config.patch_size * config.pos_embed_max_size,
        missing: found.missing,
        unknown: found.unknown,
        memory: memory(&config, transformer, autoencoder, 8 * config.patch_size, &[512, 1024]),
        config,
    })
}

/// What is found in the parts of a checkpoint.
struct Found {
    reports: Vec<PartReport>,
    missing: Vec<String>,
    unknown: Vec<String>,
}

impl Found {
    fn codecs(&mut self, checkpoint: &Sd3Checkpoint) -> Result<(), ModelError> {
        let codecs = [
            ("autoencoder", &checkpoint.autoencoder),
            ("preview autoencoder", &checkpoint.preview),
        ];
        for (name, source) in codecs {
            let Some(source) = source else { continue };
            self.reports.push(part_report(name, &source.part.weights));
            if source.kind == AutoencoderKind::Kl {
                let skeleton = Skeleton::new(Some(&source.part.weights));
                KlAutoencoder::new(&KlConfig::from_json(&source.part.config)?, &skeleton.builder())?;
                let (lacks, extra) = compare(&source.part.weights, &skeleton.shapes());
                self.missing.extend(lacks);
                self.unknown.extend(extra);
            }
        }
        if checkpoint.autoencoder.is_none() {
            self.missing.push("autoencoder: give one with --vae".to_owned());
        }
        Ok(())
    }

    fn text(&mut self, checkpoint: &Sd3Checkpoint, width: usize) {
        let encoders = &checkpoint.text.encoders;
        for (name, encoder) in TEXT_PARTS.iter().zip(encoders) {
            self.reports
                .extend(encoder.iter().map(|part| part_report(name, &part.weights)));
        }
        if encoders[2].is_none() {
            self.missing
                .push(format!("{}: its part of every prompt is zeros", TEXT_PARTS[2]));
        }
        match TextEncoders::open(&checkpoint.text, width, DType::F32, &Device::Cpu) {
            Ok(_) => self
                .unknown
                .extend(encoders.iter().flatten().flat_map(|part| part.weights.unused())),
            Err(error) => self.missing.push(error.to_string()),
        }
    }
}
