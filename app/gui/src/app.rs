//! The studio as a whole: events in, panes drawn, commands carried out, requests out.

use std::path::PathBuf;

use egui::{CentralPanel, Frame, Panel, Ui, ViewportCommand};
use mdsd3_engine::protocol::{Request, Rgba8};

use crate::commands::Command;
use crate::dialogs::{Choice, Dialogs, Purpose};
use crate::icons::program_icon;
use crate::layout::{Layout, Pane};
use crate::link::EngineLink;
use crate::panes::{Looking, PaneContext, top_bar};
use crate::prefs::Prefs;
use crate::state::{Effect, State, ViewChoice};
use crate::style;
use crate::textures::Textures;
use crate::theme::{self, Look, space};
use crate::zoom::Zoom;

/// The studio's window contents.
///
/// It needs no window of its own: [`Studio::ui`] draws it into any [`Ui`], which is how tests and screenshots drive it.
pub struct Studio {
    link: Box<dyn EngineLink>,
    state: State,
    looking: Looking,
    look: Look,
    textures: Textures,
    layout: Layout,
    dialogs: Dialogs,
    icon: Rgba8,
    shader_target: Option<wgpu::TextureFormat>,
}

impl Studio {
    /// A studio over `link` with the given preferences, drawn by `ctx`.
    ///
    /// `shader_target` is the window's pixel format when egui draws it with wgpu; without it spectra are coloured on the
    /// processor. The engine behind `link` loads its model by itself.
    pub fn new(
        ctx: &egui::Context,
        link: Box<dyn EngineLink>,
        prefs: Prefs,
        shader_target: Option<wgpu::TextureFormat>,
    ) -> Self {
        style::install(ctx, prefs.look);
        let icon = program_icon();
        let mut state = State::new(prefs.settings);
        state.seed_locked = prefs.seed_locked;
        state.recent = prefs.recent;
        Self {
            link,
            state,
            looking: Looking {
                color_map: prefs.color_map,
                ..Looking::default()
            },
            look: prefs.look,
            textures: Textures::default(),
            layout: Layout::default(),
            dialogs: Dialogs::default(),
            icon: Rgba8 {
                width: icon.width,
                height: icon.height,
                pixels: icon.rgba.into(),
            },
            shader_target,
        }
    }

    /// The same with the panes where they were.
    #[must_use]
    pub fn with_layout(mut self, layout: Layout) -> Self {
        self.layout = layout;
        self
    }

    /// What it knows.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The same, to be changed by tests.
    pub fn state_mut(&mut self) -> &mut State {
        &mut self.state
    }

    /// What shall be remembered.
    pub fn prefs(&self) -> Prefs {
        Prefs {
            look: self.look,
            color_map: self.looking.color_map,
            settings: self.state.settings.clone(),
            seed_locked: self.state.seed_locked,
            recent: self.state.recent.clone(),
        }
    }

    /// One frame.
    pub fn ui(&mut self, ui: &mut Ui) {
        self.textures.begin_frame();
        self.receive(ui.input(|input| input.time));
        self.open_dropped(ui);
        let mut commands = Vec::new();
        if !self.dialogs.is_modal_open() {
            commands.extend(Command::pressed(ui.ctx()));
        }
        self.draw(ui, &mut commands);
        let suggestion = self.suggested_name();
        match self.dialogs.show(ui.ctx(), &self.state.recent, &suggestion) {
            Some(Choice::Open(path)) => self.state.open_scene(path),
            Some(Choice::Save(path)) => self.state.save_result(path),
            None => {}
        }
        for command in commands {
            self.carry_out(ui.ctx(), command);
        }
        self.send_effects();
        if let Some(delay) = self.state.wake_after() {
            ui.ctx().request_repaint_after(delay);
        }
    }

    fn receive(&mut self, now_secs: f64) {
        for event in self.link.poll_events() {
            self.state.apply(event);
        }
        for frame in self.link.take_frames() {
            self.state.push_frame(frame);
        }
        self.state.tick(now_secs);
    }

    fn open_dropped(&mut self, ui: &Ui) {
        let dropped: Option<PathBuf> =
            ui.input(|input| input.raw.dropped_files.first().map(|file| file.path().to_owned()));
        if let Some(path) = dropped {
            self.state.open_scene(Some(path));
        }
    }

    fn draw(&mut self, ui: &mut Ui, commands: &mut Vec<Command>) {
        let theme = theme::of(ui);
        let mut context = PaneContext {
            state: &mut self.state,
            looking: &mut self.looking,
            textures: &mut self.textures,
            commands,
            icon: &self.icon,
            shader_target: self.shader_target,
        };
        Panel::top("top bar")
            .exact_size(space::TOP_BAR)
            .resizable(false)
            .show_separator_line(false)
            .frame(Frame::new().fill(theme.surface))
            .show(ui, |ui| top_bar::show(ui, &mut context));
        CentralPanel::default()
            .frame(Frame::new().fill(theme.base).inner_margin(egui::Margin {
                top: 3,
                ..egui::Margin::ZERO
            }))
            .show(ui, |ui| {
                self.layout.show(ui, &mut context);
            });
    }

    fn carry_out(&mut self, ctx: &egui::Context, command: Command) {
        let state = &mut self.state;
        match command {
            Command::Mix => state.mix(),
            Command::Stop => state.stop(),
            Command::OpenPhoto => self.dialogs.open_native(ctx, Purpose::OpenPhoto, ""),
            Command::OpenPath => self.dialogs.open_path(Purpose::OpenPhoto, "", String::new()),
            Command::OpenDemo => state.open_scene(None),
            Command::SaveImage => self.save_image(ctx),
            Command::NewSeed => state.new_seed(),
            Command::ClearMix => state.clear_mix(),
            Command::PreviousStep => state.step_by(-1),
            Command::NextStep => state.step_by(1),
            Command::FirstStep => state.show_step(0),
            Command::LatestStep => state.show_step(usize::MAX),
            Command::ToggleView => {
                state.view = match state.view {
                    ViewChoice::Prediction => ViewChoice::Noisy,
                    ViewChoice::Noisy => ViewChoice::Prediction,
                };
            }
            Command::ZoomIn | Command::ZoomOut => {
                let looking = &mut self.looking;
                looking.zoom = looking.zoom.stepped(looking.shown_scale, command == Command::ZoomIn);
            }
            Command::ZoomFit => self.looking.zoom = Zoom::default(),
            Command::ZoomOriginal => {
                self.looking.zoom = Zoom {
                    scale: Some(1.0),
                    ..Zoom::default()
                }
            }
            Command::ShowLog => self.layout.focus(Pane::Log),
            Command::ToggleLook => {
                self.look = self.look.toggled();
                style::show(ctx, self.look);
            }
            Command::ResetLayout => self.layout = Layout::default(),
            Command::Quit => ctx.send_viewport_cmd(ViewportCommand::Close),
        }
    }

    fn save_image(&mut self, ctx: &egui::Context) {
        if self.state.finished_run().is_some() {
            self.dialogs
                .open_native(ctx, Purpose::SaveImage, &self.suggested_name());
        } else {
            let message = "There is no finished result to save yet: press Mix and wait for it";
            self.state.notify(crate::notice::Level::Warning, message, None);
        }
    }

    /// A name that says what is in the file, without spaces and with no dot but the extension's.
    fn suggested_name(&self) -> String {
        let Some(lane) = &self.state.lane else {
            return "mix.png".to_owned();
        };
        let stem = lane
            .request
            .scene
            .as_ref()
            .and_then(|path| path.file_stem())
            .map_or_else(|| "demo".into(), |stem| stem.to_string_lossy());
        let classes = lane.request.mix.active();
        let parts: Vec<String> = classes
            .map(|(class, ratio)| format!("_{class}-{:.0}", ratio * 100.0))
            .collect();
        let plain = |letter: char| {
            if letter.is_alphanumeric() || "_-".contains(letter) {
                letter
            } else {
                '-'
            }
        };
        let stem: String = stem.chars().map(plain).collect();
        format!("{stem}{}.png", parts.concat())
    }

    fn send_effects(&mut self) {
        for effect in self.state.take_effects() {
            let result = match &effect {
                Effect::Send(request) => self.link.send(request.clone()),
                Effect::Cancel(reason) => {
                    self.link.cancel(*reason);
                    Ok(())
                }
            };
            if let Err(error) = result {
                self.state.effect_failed(&effect, error.one_line());
            }
        }
    }

    /// Asks the engine to panic, to show what becomes of it.
    #[doc(hidden)]
    pub fn panic_worker_for_test(&mut self) {
        if let Err(error) = self.link.send(Request::PanicForTest) {
            self.state.notify(crate::notice::Level::Error, error.one_line(), None);
        }
    }
}

impl eframe::App for Studio {
    fn ui(&mut self, ui: &mut Ui, _frame: &mut eframe::Frame) {
        Self::ui(self, ui);
    }

    fn save(&mut self, storage: &mut dyn eframe::Storage) {
        self.prefs().store(&self.layout, storage);
    }

    fn clear_color(&self, visuals: &egui::Visuals) -> [f32; 4] {
        theme::by_mode(visuals.dark_mode).base.to_normalized_gamma_f32()
    }
}
