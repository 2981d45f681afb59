//! The studio as a whole: events in, panes drawn, commands carried out, requests out.

mod carry_out;
mod incoming;

use incoming::kept_folder;

use egui::{Area, CentralPanel, Frame, Id, Order, Panel, Popup, Pos2, Sense, Ui, ViewportCommand};
use mdsd3_engine::protocol::Request;
use mdsd3_words::image::Rgba8;

use crate::commands::Command;
use crate::compare::Comparing;
use crate::dialogs::{Choice, Dialogs};
use crate::frame_times::FrameTimes;
use crate::icons::program_icon;
use crate::layout::Layout;
use crate::link::EngineLink;
use crate::overlays::Overlay;
use crate::panes::{Looking, PaneContext, top_bar};
use crate::prefs::Prefs;
use crate::state::{Document, Effect, State};
use crate::style;
use crate::textures::Textures;
use crate::theme::{self, Look, space};

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
    overlay: Overlay,
    /// Whether text was being edited when the frame before was drawn: Escape ends that before anyone is asked.
    text_was_edited: bool,
    /// The window's title as it was last set.
    title: String,
    icon: Rgba8,
    shader_target: Option<wgpu::TextureFormat>,
    frame_times: Option<FrameTimes>,
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
        let mut state = State::new(prefs.settings.clone());
        state.set_document(Document {
            shared: prefs.settings,
            lanes: prefs.lanes,
            selected: prefs.selected_lane,
        });
        state.seed_locked = prefs.seed_locked;
        state.recent = prefs.recent;
        state.presets = prefs.presets;
        state.queue.form = prefs.queue_form;
        state.training.recipe = prefs.recipe;
        state.restore_queue(prefs.unfinished);
        Self {
            link,
            state,
            looking: Looking {
                color_map: prefs.color_map,
                comparing: Comparing {
                    flicker_secs: prefs.flicker_secs,
                    ..Comparing::default()
                },
                ..Looking::default()
            },
            look: prefs.look,
            textures: Textures::default(),
            layout: Layout::default(),
            dialogs: Dialogs::default(),
            overlay: Overlay::default(),
            text_was_edited: false,
            title: String::new(),
            icon: Rgba8 {
                width: icon.width,
                height: icon.height,
                pixels: icon.rgba.into(),
            },
            shader_target,
            frame_times: FrameTimes::if_asked_for(),
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
        let Document {
            shared,
            lanes,
            selected,
        } = self.state.document();
        Prefs {
            look: self.look,
            color_map: self.looking.color_map,
            flicker_secs: self.looking.comparing.flicker_secs,
            settings: shared,
            lanes,
            selected_lane: selected,
            seed_locked: self.state.seed_locked,
            recent: self.state.recent.clone(),
            presets: self.state.presets.clone(),
            queue_form: self.state.queue.form.clone(),
            unfinished: self.state.queue.unfinished(),
            recipe: self.state.training.recipe.clone(),
        }
    }

    /// One frame.
    pub fn ui(&mut self, ui: &mut Ui) {
        self.textures.begin_frame();
        self.receive(ui.input(|input| input.time));
        self.open_incoming(ui);
        let mut commands = Vec::new();
        if !self.dialogs.is_modal_open() && !self.overlay.is_open() {
            let escape_closes = Popup::is_any_open(ui.ctx()) || self.text_was_edited;
            commands.extend(Command::pressed(ui.ctx(), escape_closes));
        }
        shield(ui.ctx());
        self.draw(ui, &mut commands);
        commands.extend(self.overlay.show(ui.ctx(), &self.state));
        let suggestion = self.suggested_name();
        match self.dialogs.show(ui.ctx(), &self.state.recent, &suggestion) {
            Some(Choice::Open(Some(path))) => self.state.open_file(path),
            Some(Choice::Open(None)) => self.state.open_scene(None),
            Some(Choice::Save(path)) => self.save_seen(path),
            Some(Choice::SaveSteps(folder)) => self.state.save_steps(folder),
            Some(Choice::Depth(path)) => self.state.set_depth(Some(path)),
            Some(Choice::DepthNetwork(path)) => self.state.edit(|settings| settings.weather.depth_model = Some(path)),
            Some(Choice::Mask(class, path)) => {
                let class = self.state.known_classes().nth(class).map(str::to_owned);
                if let Some(class) = class {
                    self.state.set_region(&class, Some(path));
                }
            }
            Some(Choice::SaveLayers(folder)) => self.state.save_layers(folder),
            Some(Choice::Model(field, path)) => self.state.put_in_draft(field, &path),
            Some(Choice::SaveFigure(path)) => self.save_figure(&path),
            Some(Choice::Plan(path)) => self.state.queue_plan(path),
            Some(Choice::Recipe(path)) => self.state.training.recipe = path.display().to_string(),
            Some(Choice::QueueFolder(path)) => self.state.queue.form.root = path.display().to_string(),
            None => {}
        }
        if let Some(purpose) = self.looking.ask_for.take() {
            self.dialogs.open_native(ui.ctx(), purpose, "");
        }
        if let Some((class, corners)) = self.looking.weather.drawn.take() {
            self.state.draw_region(&class, corners, kept_folder());
        }
        for command in commands {
            self.carry_out(ui.ctx(), command);
        }
        let held = ui.input(|input| input.pointer.any_down()) || ui.ctx().text_edit_focused();
        self.state.observe_history(held);
        self.text_was_edited = ui.ctx().text_edit_focused();
        self.send_effects();
        self.name_window(ui.ctx());
        if let Some(delay) = self.state.wake_after() {
            ui.ctx().request_repaint_after(delay);
        }
    }

    fn receive(&mut self, now_secs: f64) {
        for event in self.link.poll() {
            self.state.apply(event);
        }
        for frame in self.link.take_frames() {
            self.state.push_frame(frame);
        }
        self.state.tick(now_secs);
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

    /// Keeps the window's title true: it names the photo and the mix, so that windows can be told apart in a list.
    fn name_window(&mut self, ctx: &egui::Context) {
        let title = self.state.window_title();
        if self.title != title {
            self.title.clone_from(&title);
            ctx.send_viewport_cmd(ViewportCommand::Title(title));
        }
    }

    fn send_effects(&mut self) {
        for effect in self.state.take_effects() {
            let result = match &effect {
                Effect::Send(request) => self.link.send(request.clone()),
                Effect::Train(request) => self.link.train(request.clone()),
                Effect::Cancel(reason) => {
                    self.link.cancel(*reason);
                    Ok(())
                }
                Effect::CancelChores => {
                    self.link.cancel_chores();
                    Ok(())
                }
                Effect::Queue(request) => {
                    self.link.send_to_queue(request.clone());
                    Ok(())
                }
                Effect::Show(pane) => {
                    self.layout.focus(*pane);
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
            self.state
                .messages
                .notify(crate::notice::Level::Error, error.one_line(), None);
        }
    }
}

/// While a menu or a list is open, takes the clicks beside it: they close it and do nothing else.
fn shield(ctx: &egui::Context) {
    if Popup::is_any_open(ctx) {
        Area::new(Id::unique("shield"))
            .order(Order::Middle)
            .fixed_pos(Pos2::ZERO)
            .show(ctx, |ui| {
                ui.allocate_response(ctx.content_rect().size(), Sense::CLICK | Sense::DRAG)
            });
    }
}

impl eframe::App for Studio {
    fn ui(&mut self, ui: &mut Ui, frame: &mut eframe::Frame) {
        if let (Some(times), Some(secs)) = (&mut self.frame_times, frame.info().cpu_usage) {
            times.push(secs, self.state.runs.active.is_some());
        }
        Self::ui(self, ui);
    }

    fn on_exit(&mut self) {
        if let Some(times) = &self.frame_times {
            eprint!("{times}");
        }
    }

    fn save(&mut self, storage: &mut dyn eframe::Storage) {
        for (key, text) in self.prefs().entries(&self.layout) {
            storage.set_string(key, text);
        }
    }

    fn clear_color(&self, visuals: &egui::Visuals) -> [f32; 4] {
        theme::by_mode(visuals.dark_mode).base.to_normalized_gamma_f32()
    }
}
