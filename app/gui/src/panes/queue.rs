//! The Queue: datasets that wait, are made, or are ready, and a form that adds the mix to them.

use egui::{
    Align, ComboBox, DragValue, Image, Layout, ProgressBar, RichText, ScrollArea, TextEdit, Ui, WidgetInfo, vec2,
};
use mdsd3_engine::export::layout::LayoutKind;
use mdsd3_engine::export::plan::EngineKind;
use mdsd3_engine::queue::{QueueEntry, QueueRequest, QueueState};

use super::PaneContext;
use crate::commands::Command;
use crate::dialogs::Purpose;
use crate::icons::Icon;
use crate::run::duration_text;
use crate::state::queue::{Around, Photos, folder_address};
use crate::theme::{self, space};
use crate::widgets::{empty_state, focus_ring, icon_button, row_label, segmented, text_button};

/// Width of the form, in points.
const FORM_WIDTH: f32 = 300.0;
/// Width of its labels, in points.
const LABEL_WIDTH: f32 = 54.0;
/// Longer side of a thumbnail, in points.
const THUMBNAIL: f32 = 40.0;

/// Draws the pane.
pub fn show(ui: &mut Ui, studio: &mut PaneContext<'_>) {
    ui.horizontal_top(|ui| {
        ui.allocate_ui_with_layout(
            vec2(FORM_WIDTH, ui.available_height()),
            Layout::top_down(Align::Min),
            |ui| {
                ScrollArea::vertical()
                    .id_salt("queue form")
                    .show(ui, |ui| form(ui, studio));
            },
        );
        ui.add_space(space::PANE);
        ui.vertical(|ui| list(ui, studio));
    });
}

fn form(ui: &mut Ui, studio: &mut PaneContext<'_>) {
    ui.spacing_mut().item_spacing.y = space::TIGHT;
    ui.horizontal(|ui| {
        let theme = theme::of(ui);
        let button = egui::Button::new(RichText::new("Add to the queue").color(theme.on_accent)).fill(theme.accent);
        if ui
            .add(button)
            .on_hover_text("Writes a plan, then makes its pairs")
            .clicked()
        {
            studio.commands.push(Command::QueueMix);
        }
        if ui
            .button("Add a plan…")
            .on_hover_text("A plan file of mdsd3 sweep")
            .clicked()
        {
            studio.commands.push(Command::OpenPlan);
        }
    });
    let form = &mut studio.state.queue.form;
    row(ui, "Mixes", |ui| {
        let choices = [
            (Around::Mix, "This mix", "The mix of the selected lane"),
            (
                Around::Grid,
                "Grid around it",
                "Every ratio at 50, 75, 100 and 125 %, in all combinations",
            ),
        ];
        segmented(ui, "Mixes", &mut form.around, &choices);
    });
    row(ui, "Photos", |ui| {
        let choices = [
            (Photos::This, "This photo", "The open photo"),
            (
                Photos::Folder,
                "Its folder",
                "Every photo in the folder of the open one",
            ),
        ];
        segmented(ui, "Photos", &mut form.photos, &choices);
    });
    row(ui, "Made by", |ui| {
        let choices = [
            (EngineKind::Mdsd3, "Model", "The network"),
            (
                EngineKind::Physical,
                "Formulas",
                "The physical baseline, without a network",
            ),
        ];
        segmented(ui, "Made by", &mut form.engine, &choices);
        let seeds = ui.add(DragValue::new(&mut form.seeds).range(1..=10_000).speed(0.1));
        seeds.widget_info(|| WidgetInfo::labeled(egui::Role::SpinButton, true, "seeds"));
        ui.label(if form.seeds == 1 { "seed" } else { "seeds" });
    });
    row(ui, "Layout", |ui| layout_choice(ui, &mut form.layout));
    row(ui, "Folder", |ui| {
        let room = space::ROW + ui.spacing().item_spacing.x;
        let field = TextEdit::singleline(&mut form.root).desired_width(ui.available_width() - room);
        let response = ui.add(field);
        response.widget_info(|| WidgetInfo::labeled(egui::Role::TextInput, true, "output folder"));
        focus_ring(ui, &response);
        if icon_button(ui, Icon::Folder, "Choose a folder for datasets").clicked() {
            studio.looking.ask_for = Some(Purpose::QueueFolder);
        }
    });
}

fn row(ui: &mut Ui, label: &str, content: impl FnOnce(&mut Ui)) {
    ui.horizontal(|ui| {
        row_label(ui, label, LABEL_WIDTH);
        content(ui);
    });
}

fn layout_choice(ui: &mut Ui, layout: &mut LayoutKind) {
    let combo = ComboBox::from_id_salt("layout")
        .selected_text(layout.label())
        .width(ui.available_width());
    let response = combo.show_ui(ui, |ui| {
        for choice in LayoutKind::ALL {
            ui.selectable_value(layout, choice, choice.label());
        }
    });
    response
        .response
        .widget_info(|| WidgetInfo::labeled(egui::Role::ComboBox, true, "layout"));
}

fn list(ui: &mut Ui, studio: &mut PaneContext<'_>) {
    if studio.state.queue.entries.is_empty() {
        let hint =
            "Add the mix, a grid around it, or a plan file. Datasets are made one after the other while you go on.";
        let color = theme::of(ui).text_weak;
        empty_state(
            ui,
            ui.available_rect_before_wrap(),
            Icon::Picture,
            "Nothing to export yet",
            hint,
            color,
        );
        return;
    }
    let entries = studio.state.queue.listed();
    ScrollArea::vertical()
        .id_salt("queue entries")
        .auto_shrink([false, false])
        .show(ui, |ui| {
            for shown in &entries {
                ui.push_id(shown.id, |ui| entry(ui, studio, shown));
                ui.add_space(space::TIGHT);
            }
        });
}

fn entry(ui: &mut Ui, studio: &mut PaneContext<'_>, entry: &QueueEntry) {
    let theme = theme::of(ui);
    let frame = egui::Frame::new()
        .fill(theme.raised)
        .corner_radius(space::CORNER)
        .inner_margin(space::TIGHT * 1.5);
    frame.show(ui, |ui| {
        let line = vec2(ui.available_width(), space::ROW);
        // From the right, so that the name gets what the buttons leave.
        ui.allocate_ui_with_layout(line, Layout::right_to_left(Align::Center), |ui| {
            ui.spacing_mut().item_spacing.x = 0.0;
            buttons(ui, studio, entry);
            ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
                let name = RichText::new(&entry.name).font(theme::strong_font());
                ui.add(egui::Label::new(name.color(theme.text_strong)).truncate());
            });
        });
        progress(ui, entry);
        match &entry.state {
            QueueState::Failed(reason) | QueueState::NoRoom(reason) => {
                let color = state_in_words(&entry.state, theme).1;
                let text = RichText::new(crate::state::sentence_case(reason)).color(color);
                ui.add(egui::Label::new(text).wrap().selectable(true));
            }
            _ => {}
        }
        failures(ui, entry);
        thumbnails(ui, studio, entry);
    });
}

fn state_in_words(state: &QueueState, theme: &theme::Theme) -> (&'static str, egui::Color32) {
    match state {
        QueueState::Waiting => ("Waiting", theme.text_weak),
        QueueState::Preparing => ("Preparing", theme.text),
        QueueState::Running => ("Running", theme.text),
        QueueState::NoRoom(_) => ("Waiting for room on the disk", theme.warning),
        QueueState::Stopping => ("Finishing the pairs in hand", theme.text),
        QueueState::Paused => ("Paused", theme.text_weak),
        QueueState::Finished => ("Ready", theme.success),
        QueueState::Cancelled => ("Cancelled", theme.text_weak),
        QueueState::Failed(_) => ("Failed", theme.error),
    }
}

/// Filled from the right.
fn buttons(ui: &mut Ui, studio: &mut PaneContext<'_>, entry: &QueueEntry) {
    let (state, id) = (&entry.state, entry.id);
    let mut ask = |ui: &mut Ui, verb: &str, help: &str, request: QueueRequest| {
        let button = text_button(ui, verb, help);
        button.widget_info(|| WidgetInfo::labeled(egui::Role::Button, true, format!("{verb} {}", entry.name)));
        if button.clicked() {
            studio.state.ask_queue(request);
        }
    };
    if !state.is_active() {
        ask(
            ui,
            "Remove",
            "Takes it off the list; its files stay",
            QueueRequest::Remove(id),
        );
    }
    if state.can_resume() {
        ask(ui, "Resume", "Goes on where it stopped", QueueRequest::Resume(id));
    }
    if state.is_active() || *state == QueueState::Waiting {
        ask(
            ui,
            "Cancel",
            "Finishes the pairs in hand and leaves it",
            QueueRequest::Cancel(id),
        );
        ask(
            ui,
            "Pause",
            "Finishes the pairs in hand and waits",
            QueueRequest::Pause(id),
        );
    }
    if let Some(folder) = &entry.folder {
        let button = text_button(ui, "Open folder", &folder.display().to_string());
        button.widget_info(|| {
            WidgetInfo::labeled(egui::Role::Button, true, format!("Open the folder of {}", entry.name))
        });
        if button.clicked() {
            ui.ctx().open_url(egui::OpenUrl::new_tab(folder_address(folder)));
        }
    }
}

fn progress(ui: &mut Ui, entry: &QueueEntry) {
    let theme = theme::of(ui);
    if entry.total > 0 {
        let share = entry.done as f32 / entry.total as f32;
        let bar = ProgressBar::new(share)
            .desired_height(5.0)
            .fill(theme.accent)
            .corner_radius(2.0);
        let name = format!("progress of {}", entry.name);
        ui.add(bar)
            .widget_info(|| WidgetInfo::slider(true, f64::from(share), &name));
    }
    ui.horizontal_wrapped(|ui| {
        let (words, color) = state_in_words(&entry.state, theme);
        ui.label(RichText::new(words).small().color(color));
        if entry.total > 0 {
            ui.label(RichText::new(progress_text(entry)).small().color(theme.text_weak));
        }
    });
}

/// "123 of 400 pairs · 5.2 pairs/s · 53 s left".
fn progress_text(entry: &QueueEntry) -> String {
    let mut parts = vec![format!("{} of {} pairs", entry.done, entry.total)];
    if entry.state == QueueState::Running {
        match entry.pairs_per_sec {
            Some(rate) if rate >= 1.0 => parts.push(format!("{rate:.1} pairs/s")),
            Some(rate) if rate > 0.0 => parts.push(format!("{:.1} s/pair", 1.0 / rate)),
            _ => {}
        }
        parts.extend(
            entry
                .remaining_secs()
                .map(|secs| format!("{} left", duration_text(secs))),
        );
    }
    if let (QueueState::Finished, Some(busy)) = (&entry.state, entry.sampler_busy) {
        parts.push(format!("sampler busy {:.0} %", busy * 100.0));
    }
    parts.join(" · ")
}

fn failures(ui: &mut Ui, entry: &QueueEntry) {
    let Some(first) = entry.failures.first() else { return };
    let text = match entry.failures.len() {
        1 => format!("1 photo skipped · {}", first.reason),
        count => format!("{count} photos skipped · {}", first.reason),
    };
    let all: Vec<&str> = entry.failures.iter().map(|failure| failure.reason.as_str()).collect();
    let label = RichText::new(text).small().color(theme::of(ui).warning);
    ui.add(egui::Label::new(label).wrap()).on_hover_text(all.join("\n"));
}

fn thumbnails(ui: &mut Ui, studio: &mut PaneContext<'_>, entry: &QueueEntry) {
    if entry.thumbnails.is_empty() {
        return;
    }
    ui.horizontal(|ui| {
        ui.spacing_mut().item_spacing.x = space::TIGHT;
        for pair in entry.thumbnails.iter().rev() {
            if ui.available_width() < THUMBNAIL {
                break;
            }
            let texture = studio.textures.thumbnail(ui.ctx(), &pair.lq);
            let longer = pair.lq.width.max(pair.lq.height).max(1) as f32;
            let size = vec2(pair.lq.width as f32, pair.lq.height as f32) * (THUMBNAIL / longer);
            let response = ui.add(Image::new((texture, size)));
            let name = format!("pair {} of {}", pair.index + 1, entry.name);
            response.widget_info(|| WidgetInfo::labeled(egui::Role::Image, true, &name));
            response.on_hover_text(format!("Pair {}, {}", pair.index + 1, pair.mix));
        }
    });
}
