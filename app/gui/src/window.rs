//! Opening the studio's window.

use std::panic::{self, AssertUnwindSafe, PanicHookInfo, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use mdsd3_engine::Engine;
use mdsd3_engine::EngineOptions;
use mdsd3_words::ModelSettings;

use crate::adapters::Adapter;
use crate::app::Studio;
use crate::config_file::{self, APP_ID};
use crate::error::{GuiError, short_reason};
use crate::icons::program_icon;
use crate::notice::Level;
use crate::prefs::{Prefs, Remembered};
use crate::system_fonts;

/// How the studio opens.
#[derive(Debug, Clone, Default)]
pub struct StudioOptions {
    /// The checkpoint to load, without parts from elsewhere; the last session's with all its parts when `None`.
    pub model: Option<PathBuf>,
    /// Compute device in place of the last session's.
    pub device: Option<String>,
    /// Compute dtype in place of the last session's.
    pub dtype: Option<String>,
    /// The photo to open; the last session's, or the bundled demo photo, when `None`.
    pub scene: Option<PathBuf>,
}

/// Opens the studio and returns when its window is closed.
///
/// # Errors
/// [`GuiError`] when there is no screen, no graphics driver or no engine; its message names what to install.
pub fn run(options: StudioOptions) -> Result<(), GuiError> {
    let before_window = config_file::mend_window(APP_ID);
    let native = native_options(before_window.scale.unwrap_or(1.0));
    let opened = Arc::new(AtomicBool::new(false));
    let has_opened = Arc::clone(&opened);
    let create: eframe::AppCreator<'_> = Box::new(move |cc| {
        let studio = studio(cc, options, before_window.message)?;
        has_opened.store(true, Ordering::Relaxed);
        Ok(Box::new(studio))
    });
    // The window library panics when one of the system's libraries is missing or the display goes away; that is the user's
    // to mend, not a crash.
    let outcome =
        reporting_panics_once(|| catch_unwind(AssertUnwindSafe(|| eframe::run_native(APP_ID, native, create))));
    match outcome {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(GuiError::from_eframe(error)),
        Err(panic) => {
            let reason = panic_message(panic.as_ref());
            Err(if opened.load(Ordering::Relaxed) {
                GuiError::Lost { reason }
            } else {
                GuiError::Window { reason }
            })
        }
    }
}

/// Runs `body`, in which a panic of this thread goes to the trace alone, since the caller reports it; with `RUST_BACKTRACE`
/// set, and for other threads, it is printed as ever.
fn reporting_panics_once<R>(body: impl FnOnce() -> R) -> R {
    let usual: Arc<dyn Fn(&PanicHookInfo<'_>) + Send + Sync> = panic::take_hook().into();
    let (window_thread, printing) = (thread::current().id(), Arc::clone(&usual));
    let wants_backtrace = std::env::var_os("RUST_BACKTRACE").is_some_and(|value| value != "0");
    panic::set_hook(Box::new(move |info| {
        if thread::current().id() == window_thread && !wants_backtrace {
            tracing::debug!("{info}");
        } else {
            printing(info);
        }
    }));
    let result = body();
    panic::set_hook(Box::new(move |info| usual(info)));
    result
}

/// `scale` is that of text and controls.
fn native_options(scale: f32) -> eframe::NativeOptions {
    // In points, of which a large scale leaves few on a screen: a window that must be larger than the screen opens beside it.
    let least = egui::vec2(720.0, 480.0) / scale.max(1.0);
    eframe::NativeOptions {
        viewport: egui::ViewportBuilder::default()
            .with_app_id(APP_ID)
            .with_title("MDSD3 Studio")
            .with_inner_size([1440.0, 900.0])
            .with_min_inner_size(least)
            .with_drag_and_drop(true)
            .with_icon(Arc::new(program_icon())),
        renderer: eframe::Renderer::Wgpu,
        // The studio's own come up later, and only when they are needed.
        system_font_fallback: false,
        // Dithering would add noise of our own to images that are about noise.
        dithering: false,
        ..eframe::NativeOptions::default()
    }
}

/// `mended` is what to tell of preferences that were mended before the window opened.
fn studio(
    cc: &eframe::CreationContext<'_>,
    options: StudioOptions,
    mended: Option<String>,
) -> Result<Studio, mdsd3_engine::EngineError> {
    let Remembered {
        mut prefs,
        layout,
        stored,
        is_damaged,
    } = Prefs::load(|key| cc.storage.and_then(|storage| storage.get_string(key)));
    let is_damaged = is_damaged || !stored;
    let kept_aside = mended.or_else(|| is_damaged.then(|| config_file::keep_damaged_aside(APP_ID)).flatten());
    let (model, missing) = model_to_open(&options, &prefs.settings.model);
    prefs.settings.model.clone_from(&model);
    // A photo that has been moved since the last session is not worth an error on start.
    let before = prefs.settings.scene.path.take();
    let last = before.clone().filter(|path| path.is_file());
    prefs.settings.scene.path = options.scene.or(last);
    if prefs.settings.scene.path != before {
        prefs.forget_weather_files();
    }
    let ctx = cc.egui_ctx.clone();
    let engine = Engine::start(EngineOptions {
        model,
        wake: Some(Arc::new(move || ctx.request_repaint())),
    })?;
    system_fonts::install(&cc.egui_ctx);
    let target = cc.wgpu_render_state.as_ref().map(|render| render.target_format);
    let mut studio = Studio::new(&cc.egui_ctx, Box::new(engine), prefs, target).with_layout(layout);
    if let Some(render) = &cc.wgpu_render_state {
        let adapter = Adapter::of(&render.adapter.get_info());
        studio
            .state_mut()
            .messages
            .record(Level::Info, format!("Window drawn by {adapter}"));
    }
    for message in [kept_aside, missing].into_iter().flatten() {
        studio.state_mut().messages.notify(Level::Warning, message, None);
    }
    Ok(studio)
}

/// The model to load first: what the command line names, else all of what the last session had; the bundled one, and what
/// to tell, when a file of that is gone or this build can't run it.
fn model_to_open(options: &StudioOptions, last: &ModelSettings) -> (ModelSettings, Option<String>) {
    let mut model = ModelSettings {
        path: options.model.clone(),
        ..ModelSettings::default()
    };
    let mut missing = None;
    if options.model.is_none() {
        let mut whole = last.clone();
        let mut paths = whole.paths_mut().map(|path| path.clone());
        let gone = paths.find(|path| !path.exists());
        let why = match gone {
            Some(path) => Some(format!("{} is not there any more", path.display())),
            None => last.check().err().map(|error| error.to_string()),
        };
        missing = why.map(|why| format!("{why}; the bundled model is loaded in place of the last session's"));
        if missing.is_none() {
            model = last.clone();
        }
    }
    if let Some(device) = &options.device {
        model.device.clone_from(device);
    }
    if let Some(dtype) = &options.dtype {
        model.dtype.clone_from(dtype);
    }
    (model, missing)
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied());
    short_reason(text.unwrap_or("the window library stopped"))
}

#[cfg(test)]
mod tests {

    use mdsd3_words::ModelParts;

    use super::*;

    #[test]
    fn the_last_sessions_model_is_loaded_as_a_whole_or_not_at_all() {
        let folder = std::env::temp_dir();
        let with_adapter = |adapter: PathBuf, device: &str| ModelSettings {
            path: Some(folder.clone()),
            parts: ModelParts {
                adapter: Some(adapter),
                heads: Some(24),
                ..ModelParts::default()
            },
            device: device.to_owned(),
            dtype: "bf16".to_owned(),
        };
        let last = with_adapter(folder.clone(), "cpu");
        let unasked = StudioOptions::default();
        assert_eq!(model_to_open(&unasked, &last), (last.clone(), None));

        for (last, why) in [
            (
                with_adapter("no/such/adapter".into(), "cpu"),
                "no/such/adapter is not there",
            ),
            (with_adapter(folder.clone(), "abacus"), "abacus"),
        ] {
            let (model, message) = model_to_open(&unasked, &last);
            assert_eq!(
                model,
                ModelSettings::default(),
                "no checkpoint without its adapter, nor its dtype"
            );
            assert!(message.is_some_and(|message| message.contains(why)), "{why}");
        }

        let asked = StudioOptions {
            model: Some("other".into()),
            dtype: Some("f16".to_owned()),
            ..StudioOptions::default()
        };
        let named = ModelSettings {
            path: Some("other".into()),
            dtype: "f16".to_owned(),
            ..ModelSettings::default()
        };
        assert_eq!(
            model_to_open(&asked, &last),
            (named, None),
            "the adapter was another checkpoint's"
        );
    }
}
