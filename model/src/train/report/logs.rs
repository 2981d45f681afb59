//! The same numbers as CSV tables and `TensorBoard` files.

use std::io::Write;
use std::path::{Path, PathBuf};

use image::{ImageFormat, RgbImage};

use super::tensorboard::{EventFile, Value};
use super::{BINS, LayerNorm, StepNumbers, ValidationNumbers, bin_name};
use crate::error::ModelError;
use crate::io::atomic::write_atomically;
use crate::train::table::Table;

/// Where a run's numbers and pictures go.
pub struct Logs {
    folder: PathBuf,
    steps: Table,
    validation: Table,
    gradients: Table,
    events: EventFile,
}

impl Logs {
    /// Logs in a run's folder, from `step` on; rows behind it are dropped, as they will be written again.
    ///
    /// # Errors
    /// Files that can't be written.
    pub fn open(folder: &Path, step: usize) -> Result<Self, ModelError> {
        let mut columns = vec![
            "step".to_owned(),
            "loss".to_owned(),
            "flow".to_owned(),
            "focal".to_owned(),
        ];
        columns.extend((0..BINS).map(|bin| format!("flow_t_{}", bin_name(bin))));
        columns.extend(["gradient_norm", "learning_rate", "samples_per_sec"].map(str::to_owned));
        let logs = Self {
            folder: folder.to_owned(),
            steps: Table::new(folder.join("train.csv"), &columns),
            validation: Table::new(folder.join("validation.csv"), &["step", "sigma", "flow", "focal"]),
            gradients: Table::new(folder.join("gradients.csv"), &["step", "layer", "norm"]),
            events: EventFile::create(&folder.join("tensorboard"), step)?,
        };
        for table in [&logs.steps, &logs.validation, &logs.gradients] {
            table.keep_until(step)?;
        }
        Ok(logs)
    }

    /// Numbers of the last steps.
    ///
    /// # Errors
    /// Files that can't be written.
    pub fn step(&self, numbers: &StepNumbers) -> Result<(), ModelError> {
        let optional = |value: Option<f32>| value.map(|v| format!("{v:e}")).unwrap_or_default();
        let mut row = vec![
            numbers.step.to_string(),
            // Enough digits to tell a resumed run from another one.
            format!("{:e}", numbers.loss),
            format!("{:e}", numbers.flow),
            optional(numbers.focal),
        ];
        row.extend(numbers.bins.iter().map(|bin| optional(*bin)));
        row.push(format!("{:.6e}", numbers.gradient_norm));
        row.push(format!("{:.4e}", numbers.learning_rate));
        row.push(format!("{:.3}", numbers.samples_per_sec));
        let mut values = vec![
            scalar("loss/total", numbers.loss),
            scalar("loss/flow", numbers.flow),
            scalar("run/gradient_norm", numbers.gradient_norm),
            scalar("run/learning_rate", numbers.learning_rate as f32),
            scalar("run/samples_per_sec", numbers.samples_per_sec),
        ];
        values.extend(numbers.focal.map(|focal| scalar("loss/focal", focal)));
        for (bin, loss) in numbers.bins.iter().enumerate() {
            values.extend(loss.map(|loss| scalar(&format!("loss_by_timestep/{}", bin_name(bin)), loss)));
        }
        self.steps.append(&[row])?;
        self.events.write(numbers.step, &values)
    }

    /// A validation, with the gradient norms of the step before it and the map of focal weights.
    ///
    /// # Errors
    /// Files that can't be written.
    pub fn validation(&self, numbers: &ValidationNumbers, norms: &[LayerNorm]) -> Result<(), ModelError> {
        let step = numbers.step;
        let level = |(sigma, flow, focal): &(f32, f32, f32)| {
            vec![
                step.to_string(),
                sigma.to_string(),
                format!("{flow:e}"),
                format!("{focal:e}"),
            ]
        };
        let norm = |norm: &LayerNorm| vec![step.to_string(), norm.layer.clone(), format!("{:.6e}", norm.norm)];
        let mut values = vec![scalar("validation/mean", numbers.mean)];
        for (sigma, flow, focal) in &numbers.levels {
            values.push(scalar(&format!("validation/flow_sigma_{sigma}"), *flow));
            values.push(scalar(&format!("validation/focal_sigma_{sigma}"), *focal));
        }
        let tag = |layer: &str| format!("gradient_norm/{}", layer.replace('.', "/"));
        values.extend(norms.iter().map(|norm| scalar(&tag(&norm.layer), norm.norm)));
        self.validation
            .append(&numbers.levels.iter().map(level).collect::<Vec<_>>())?;
        self.gradients.append(&norms.iter().map(norm).collect::<Vec<_>>())?;
        self.events.write(step, &values)
    }

    /// A picture, as `NAME/step-000100.png` and in `TensorBoard`; returns the file.
    ///
    /// # Errors
    /// Files that can't be written.
    pub fn picture(&self, name: &str, step: usize, image: &RgbImage) -> Result<PathBuf, ModelError> {
        let folder = self.folder.join(name);
        std::fs::create_dir_all(&folder).map_err(|source| ModelError::Io {
            path: folder.clone(),
            source,
        })?;
        let path = folder.join(format!("step-{step:06}.png"));
        let mut png = std::io::Cursor::new(Vec::new());
        image
            .write_to(&mut png, ImageFormat::Png)
            .map_err(|e| ModelError::BadInput(format!("{}: can't be encoded ({e})", path.display())))?;
        let png = png.into_inner();
        write_atomically(&path, |file| file.write_all(&png))?;
        let value = Value::Png(&png, image.width(), image.height());
        self.events.write(step, &[(name.to_owned(), value)])?;
        Ok(path)
    }
}

fn scalar(tag: &str, value: f32) -> (String, Value<'static>) {
    (tag.to_owned(), Value::Scalar(value))
}
