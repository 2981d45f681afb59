//! What the studio looks at of the weather: depth, regions and layers. What fails is part of the answer: it is no run that failed.

use std::path::PathBuf;
use std::sync::Arc;

use mdsd3_words::Fit;
use mdsd3_words::RenderRequest;

use super::Worker;
use crate::error::EngineError;
use crate::protocol::{Event, SceneWeatherView, WeatherOf};

impl Worker {
    /// Answers with depth and regions of a scene.
    pub(super) fn tell_scene_weather(&mut self, of: Box<WeatherOf>) {
        let outcome = self.scene_weather(&of).map(Arc::new);
        let outcome = outcome.map_err(|error| error.one_line());
        self.events.send(Event::SceneWeather { of, outcome });
    }

    fn scene_weather(&mut self, of: &WeatherOf) -> Result<SceneWeatherView, EngineError> {
        let scene = self.session.open_scene(of.path.as_deref(), of.size, Fit::Square)?;
        let (depth, regions) = self.session.scene_weather(&scene, of.path.as_deref(), &of.settings)?;
        Ok(SceneWeatherView { depth, regions })
    }

    /// Answers with the maps of a physical baseline.
    pub(super) fn tell_layers(&mut self, of: Box<RenderRequest>) {
        let layers = self.session.physical_layers(&of).map_err(EngineError::from);
        let outcome = layers.map(Arc::from).map_err(|error| error.one_line());
        self.events.send(Event::Layers { of, outcome });
    }

    /// Writes the maps of a physical baseline into a folder.
    pub(super) fn save_layers(&mut self, request: &RenderRequest, folder: PathBuf) -> Result<(), EngineError> {
        self.session.save_layers(request, &folder)?;
        self.events.send(Event::Saved { path: folder });
        Ok(())
    }
}
