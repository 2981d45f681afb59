//! The seed with its dice and lock, and the strip of seeds.

use egui::{Align2, Key, Modifiers, Rect, Role, Sense, Stroke, StrokeKind, TextEdit, Ui, WidgetInfo, vec2};

use super::row_label;
use crate::commands::Command;
use crate::icons::Icon;
use crate::panes::context::PaneContext;
use crate::state::seeds::{SEEDS, SeedImage};
use crate::theme::{self, space};
use crate::widgets::{caption, focus_ring, icon_button, image_at, section_with, text_button};

/// Draws the row of the seed.
pub fn row(ui: &mut Ui, studio: &mut PaneContext<'_>) {
    ui.horizontal(|ui| {
        row_label(ui, "Seed");
        let width = (ui.available_width() - 2.0 * space::ROW - 2.0 * ui.spacing().item_spacing.x).max(60.0);
        if let Some(seed) = field(ui, studio.state.settings().sampling.seed, width) {
            studio.state.edit(|settings| settings.sampling.seed = seed);
        }
        if icon_button(ui, Icon::DICE, Command::NewSeed.label()).clicked() {
            studio.commands.push(Command::NewSeed);
        }
        let (icon, name) = if studio.state.seed_locked {
            (
                Icon::LOCKED,
                "Seed locked: every mix uses it. Click to draw another for each mix",
            )
        } else {
            (
                Icon::UNLOCKED,
                "Seed unlocked: every mix draws another. Click to keep this one",
            )
        };
        if icon_button(ui, icon, name).clicked() {
            studio.commands.push(Command::ToggleSeedLock);
        }
    });
}

/// The seed as text, since a seed has more digits than egui's fields of numbers keep; the one that was typed or stepped to.
fn field(ui: &mut Ui, seed: u64, width: f32) -> Option<u64> {
    let id = ui.make_persistent_id("seed text");
    // What is typed stays while it is no seed yet, and gives way to a seed that was set elsewhere.
    let typed = ui.data(|data| data.get_temp::<String>(id));
    let typed = typed.filter(|text| text.parse().is_ok_and(|value: u64| value == seed) || text.parse::<u64>().is_err());
    let mut text = typed.unwrap_or_else(|| seed.to_string());
    if ui.memory(|memory| memory.has_focus(id)) {
        let count = |key| ui.input_mut(|input| input.count_and_consume_key(Modifiers::NONE, key)) as u64;
        let (up, down) = (count(Key::ArrowUp), count(Key::ArrowDown));
        if up != down {
            text = seed.wrapping_add(up).wrapping_sub(down).to_string();
        }
    }
    let is_seed = text.parse::<u64>().is_ok();
    let theme = theme::of(ui);
    let edit = TextEdit::singleline(&mut text)
        .id(id)
        .align(Align2::LEFT_CENTER)
        .text_color(if is_seed { theme.text } else { theme.error });
    let response = ui.add_sized([width, space::ROW], edit);
    response.widget_info(|| WidgetInfo {
        label: Some("seed".to_owned()),
        ..WidgetInfo::text_edit(true, &text, &text, "")
    });
    focus_ring(ui, &response);
    let chosen = text.parse().ok().filter(|value| *value != seed);
    let has_focus = response.has_focus();
    ui.data_mut(|data| {
        if has_focus {
            data.insert_temp(id, text);
        } else {
            data.remove_temp::<String>(id);
        }
    });
    response.on_hover_text("The same seed and settings give the same image: a whole number from 0 to 2^64 - 1");
    chosen
}

/// Draws the strip: a few seeds, each with what was made of it.
pub fn strip(ui: &mut Ui, studio: &mut PaneContext<'_>) {
    let seeds = studio.state.seed_strip();
    let to_do = studio.state.seeds_to_do();
    let all_current = seeds.iter().all(|one| one.is_current);
    section_with(ui, "Seeds", |ui| {
        if to_do > 0 {
            caption(ui, format!("{to_do} to go"));
        } else if !all_current {
            let ready = studio.state.mix_blocker().is_none();
            let fill = ui.add_enabled_ui(ready, |ui| text_button(ui, "Render", Command::FillSeedStrip.label()));
            if fill.inner.clicked() {
                studio.commands.push(Command::FillSeedStrip);
            }
        }
    });
    let gap = 4.0;
    let side = ((ui.available_width() - gap * (SEEDS - 1) as f32) / SEEDS as f32).clamp(20.0, 64.0);
    ui.scope(|ui| {
        ui.spacing_mut().item_spacing.x = gap;
        ui.horizontal(|ui| {
            for one in &seeds {
                chip(ui, studio, one, side);
            }
        });
    });
}

fn chip(ui: &mut Ui, studio: &mut PaneContext<'_>, one: &SeedImage, side: f32) {
    let theme = theme::of(ui);
    let (rect, response) = ui.allocate_exact_size(vec2(side, side + 14.0), Sense::click());
    let picture = Rect::from_min_size(rect.min, vec2(side, side));
    ui.painter().rect_filled(picture, 3.0, theme.slot);
    if let Some(image) = &one.image {
        let texture = studio.textures.thumbnail(ui.ctx(), image);
        image_at(ui, picture, picture, texture);
        if !one.is_current {
            ui.painter()
                .rect_filled(picture, 3.0, theme.surface.gamma_multiply(0.6));
        }
    }
    let selected = studio.state.settings().sampling.seed == one.seed;
    if selected || response.has_focus() || response.hovered() {
        let color = if selected { theme.accent_line } else { theme.text_weak };
        let stroke = Stroke::new(if selected { 2.0 } else { 1.0 }, color);
        ui.painter().rect_stroke(picture, 3.0, stroke, StrokeKind::Inside);
    }
    let color = if selected { theme.text_strong } else { theme.text_weak };
    let at = rect.center_bottom();
    let galley = ui
        .painter()
        .layout_no_wrap(one.seed.to_string(), theme::small_number_font(), color);
    if galley.size().x <= side {
        ui.painter()
            .text(at, Align2::CENTER_BOTTOM, one.seed, theme::small_number_font(), color);
    } else {
        let tail = format!("…{:03}", one.seed % 1000);
        ui.painter()
            .text(at, Align2::CENTER_BOTTOM, tail, theme::small_number_font(), color);
    }
    response.widget_info(|| WidgetInfo::selected(Role::Button, true, selected, format!("seed {}", one.seed)));
    let state = match (one.image.is_some(), one.is_current) {
        (true, true) => "",
        (true, false) => ", made with other settings",
        (false, _) => ", not made yet",
    };
    if response.on_hover_text(format!("Seed {}{state}", one.seed)).clicked() {
        studio.state.choose_seed(one.seed);
    }
}
