use amphi_media::{Source, VideoSize};
use amphi_studio::layout::{
    Area, CELLS_MAX, CameraFit, Cell, Guest, Layout, cells, placed, wanted,
};
use proptest::prelude::*;

const HD: VideoSize = VideoSize {
    width: 1280,
    height: 720,
};

const AUTO: CameraFit = CameraFit::Auto;

fn camera() -> Guest {
    Guest {
        source: Source::Camera,
        size: Some(VideoSize::new(640, 360)),
    }
}

fn screen() -> Guest {
    Guest {
        source: Source::Screen,
        size: Some(VideoSize::new(1920, 1080)),
    }
}

/// The cells as `x,y width×height` in order of guests.
fn drawn(cells: &[Cell]) -> Vec<String> {
    let area = |Area {
                    x,
                    y,
                    width,
                    height,
                }| format!("{x},{y} {width}×{height}");
    cells.iter().map(|cell| area(cell.area)).collect()
}

fn check(canvas: VideoSize, cells: &[Cell]) {
    for (index, cell) in cells.iter().enumerate() {
        let area = cell.area;
        for length in [area.x, area.y, area.width, area.height] {
            assert_eq!(length % 2, 0, "{area:?}");
        }
        assert!(area.width > 0 && area.height > 0, "{area:?}");
        assert!(
            area.right() <= canvas.width && area.bottom() <= canvas.height,
            "{area:?}"
        );
        for other in &cells[index + 1..] {
            let apart = area.right() < other.area.x
                || other.area.right() < area.x
                || area.bottom() < other.area.y
                || other.area.bottom() < area.y;
            assert!(apart, "{area:?} and {:?} touch", other.area);
            assert_ne!(cell.guest, other.guest);
        }
    }
}

#[test]
fn a_grid_is_as_large_as_it_may_be_and_its_last_row_stands_in_the_middle() {
    let grid = |count: usize| drawn(&cells(Layout::Grid, HD, &vec![camera(); count], None));
    assert_eq!(grid(1), ["14,8 1250×704"]);
    assert_eq!(grid(2), ["8,184 628×352", "644,184 628×352"]);
    assert_eq!(
        grid(3),
        ["18,8 618×348", "644,8 618×348", "330,364 618×348"]
    );
    assert_eq!(grid(4).len(), 4);
    let columns = |count: usize| {
        let mut all: Vec<u32> = cells(Layout::Grid, HD, &vec![camera(); count], None)
            .iter()
            .map(|cell| cell.area.y)
            .collect();
        all.dedup();
        all.len()
    };
    assert_eq!([4, 6, 9, 12, 16, 25].map(columns), [2, 2, 3, 3, 4, 5]);
}

#[test]
fn who_leads_is_large_and_five_others_stand_beside() {
    let guests = vec![camera(); 8];
    let shown = cells(Layout::Speaker, HD, &guests, Some(3));
    let order: Vec<usize> = shown.iter().map(|cell| cell.guest).collect();
    assert_eq!(order, [3, 0, 1, 2, 4, 5]);
    let (lead, strip) = shown.split_first().expect("somebody");
    assert!(
        strip
            .iter()
            .all(|cell| cell.area.size().pixels() * 10 < lead.area.size().pixels())
    );
    assert_eq!(
        cells(Layout::Speaker, HD, &guests, Some(99))[0].guest,
        0,
        "who is gone does not lead"
    );
}

#[test]
fn a_screen_is_large_whoever_speaks_and_is_shown_whole() {
    let guests = [camera(), screen(), camera()];
    let shown = cells(Layout::Screen, HD, &guests, Some(0));
    assert_eq!(shown[0].guest, 1);
    let (taken, filled) = placed(
        AUTO,
        Source::Screen,
        VideoSize::new(1920, 1080),
        shown[0].area,
    );
    assert_eq!((taken.width, taken.height), (1920, 1080));
    assert!(filled.width <= shown[0].area.width && filled.height < shown[0].area.height);
    let without = cells(Layout::Screen, HD, &[camera(), camera()], Some(1));
    assert_eq!(without[0].guest, 1, "without a screen who speaks is large");
}

#[test]
fn a_camera_is_cropped_a_little_and_a_phone_held_upright_is_shown_whole() {
    let cell = Area {
        x: 100,
        y: 50,
        width: 640,
        height: 360,
    };
    let (taken, filled) = placed(AUTO, Source::Camera, VideoSize::new(640, 480), cell);
    assert_eq!(
        (taken.x, taken.y, taken.width, taken.height),
        (0, 60, 640, 360)
    );
    assert_eq!(filled, cell);
    let (taken, filled) = placed(AUTO, Source::Camera, VideoSize::new(360, 640), cell);
    assert_eq!((taken.width, taken.height), (360, 640));
    assert_eq!(
        (filled.x, filled.y, filled.width, filled.height),
        (318, 50, 202, 360)
    );
}

#[test]
fn a_phone_held_upright_fills_its_cell_or_is_whole_as_is_chosen_and_a_screen_is_whole() {
    let cell = Area {
        x: 100,
        y: 50,
        width: 640,
        height: 360,
    };
    let upright = VideoSize::new(720, 1280);
    let (taken, filled) = placed(CameraFit::Crop, Source::Camera, upright, cell);
    assert_eq!(
        (taken.x, taken.y, taken.width, taken.height),
        (0, 438, 720, 404)
    );
    assert_eq!(filled, cell);
    let wide = VideoSize::new(640, 480);
    let (taken, filled) = placed(CameraFit::Whole, Source::Camera, wide, cell);
    assert_eq!((taken.width, taken.height), (640, 480));
    assert_eq!(
        (filled.x, filled.y, filled.width, filled.height),
        (180, 50, 480, 360)
    );
    for fit in CameraFit::ALL {
        let (taken, filled) = placed(fit, Source::Screen, upright, cell);
        assert_eq!((taken.width, taken.height), (720, 1280), "{fit:?}");
        assert_eq!((filled.width, filled.height), (202, 360), "{fit:?}");
    }
}

#[test]
fn what_is_cut_off_of_a_camera_is_asked_for_too() {
    let cell = Area {
        x: 0,
        y: 0,
        width: 640,
        height: 360,
    };
    let upright = VideoSize::new(360, 640);
    let asked = |fit, source, size| {
        let VideoSize { width, height } = wanted(fit, source, size, cell);
        (width, height)
    };
    // A layer of 320 lines has lines enough for the cell, and would be enlarged three times over.
    let cropped = asked(CameraFit::Crop, Source::Camera, upright);
    assert_eq!(cropped, (640, 1_140));
    for fit in [CameraFit::Auto, CameraFit::Whole] {
        assert_eq!(asked(fit, Source::Camera, upright), (640, 360), "{fit:?}");
    }
    assert_eq!(asked(CameraFit::Crop, Source::Screen, upright), (640, 360));
    let same = VideoSize::new(1_280, 720);
    assert_eq!(asked(CameraFit::Crop, Source::Camera, same), (640, 360));
}

#[test]
fn a_camera_a_little_larger_than_its_cell_loses_its_edge_and_a_screen_does_not() {
    let four = cells(Layout::Grid, HD, &[camera(); 4], None);
    let cell = four[3].area;
    let (taken, filled) = placed(AUTO, Source::Camera, VideoSize::new(640, 360), cell);
    assert_eq!((taken.size(), filled), (cell.size(), cell));
    let (right, below) = (640 - taken.right(), 360 - taken.bottom());
    assert!(taken.x.abs_diff(right) <= 2 && taken.y.abs_diff(below) <= 2);
    let (taken, _) = placed(AUTO, Source::Screen, VideoSize::new(640, 360), cell);
    assert_eq!((taken.width, taken.height), (640, 360));
    // What is clearly larger is scaled, and what is smaller too.
    for (width, height) in [(768, 432), (600, 338)] {
        let (taken, _) = placed(AUTO, Source::Camera, VideoSize::new(width, height), cell);
        assert!(taken.width > width - 8, "{width}: {taken:?}");
    }
}

#[test]
fn nobody_has_no_cells_and_a_canvas_too_small_for_any_shows_none() {
    for layout in Layout::ALL {
        assert_eq!(cells(layout, HD, &[], None), []);
        assert_eq!(cells(layout, VideoSize::new(8, 8), &[camera()], None), []);
        assert_eq!(cells(layout, VideoSize::new(0, 0), &[camera()], None), []);
        assert_eq!(Layout::of_name(layout.name()), Some(layout));
    }
    assert_eq!(Layout::of_name("mosaic"), None);
}

fn any_layout() -> impl Strategy<Value = Layout> {
    prop::sample::select(&Layout::ALL[..])
}

proptest! {
    #[test]
    fn cells_are_inside_even_and_apart_whatever_the_canvas(
        layout in any_layout(),
        (width, height) in (0u32..4_000, 0u32..4_000),
        count in 0usize..40,
        lead in prop::option::of(0usize..50),
        screen_at in prop::option::of(0usize..40),
    ) {
        let mut guests = vec![camera(); count];
        if let Some(guest) = screen_at.and_then(|at| guests.get_mut(at)) {
            *guest = screen();
        }
        let canvas = VideoSize::new(width, height);
        let shown = cells(layout, canvas, &guests, lead);
        check(canvas, &shown);
        prop_assert!(shown.len() <= count.min(CELLS_MAX));
        if matches!(layout, Layout::Grid | Layout::Audio) && (width.min(height)) >= 144 && width.max(height) <= width.min(height) * 3 {
            prop_assert_eq!(shown.len(), count.min(CELLS_MAX));
        }
    }

    #[test]
    fn a_picture_is_taken_from_inside_itself_and_stays_in_its_cell(
        (width, height) in (1u32..8_000, 1u32..8_000),
        (x, y, across, down) in (0u32..500, 0u32..500, 8u32..1_000, 8u32..1_000),
        is_screen: bool,
        fit in prop::sample::select(&CameraFit::ALL[..]),
    ) {
        let source = if is_screen { Source::Screen } else { Source::Camera };
        let cell = Area { x: x * 2, y: y * 2, width: across * 2, height: down * 2 };
        let (taken, filled) = placed(fit, source, VideoSize::new(width, height), cell);
        let asked = wanted(fit, source, VideoSize::new(width, height), cell);
        prop_assert!(asked.width >= cell.width && asked.height >= cell.height);
        prop_assert!(taken.right() <= width.max(2) && taken.bottom() <= height.max(2));
        prop_assert!(filled.x >= cell.x && filled.right() <= cell.right());
        prop_assert!(filled.y >= cell.y && filled.bottom() <= cell.bottom());
        for length in [taken.x, taken.y, taken.width, taken.height, filled.x, filled.y, filled.width, filled.height] {
            prop_assert_eq!(length % 2, 0);
        }
    }
}
