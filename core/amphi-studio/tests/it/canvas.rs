use amphi_media::VideoSize;
use amphi_studio::canvas::{Canvas, Colour, Picture, Scaler};
use amphi_studio::layout::Area;
use amphi_studio::lettering::Image;
use proptest::prelude::*;

const RED: Colour = Colour {
    y: 63,
    u: 102,
    v: 240,
};

fn area(x: u32, y: u32, width: u32, height: u32) -> Area {
    Area {
        x,
        y,
        width,
        height,
    }
}

/// A picture whose luma grows to the right and whose colours grow downwards.
fn slope(size: VideoSize) -> [Vec<u8>; 3] {
    let (width, height) = (size.width as usize, size.height as usize);
    let across = |n: usize, of: usize| (n * 220 / of.max(1) + 16) as u8;
    let (half_width, half_height) = (width.div_ceil(2), height.div_ceil(2));
    let colour = |_| {
        (0..half_width * half_height)
            .map(|at| across(at / half_width, half_height))
            .collect()
    };
    [
        (0..width * height)
            .map(|at| across(at % width, width))
            .collect(),
        colour(1),
        colour(2),
    ]
}

fn picture(size: VideoSize, planes: &[Vec<u8>; 3]) -> Picture<'_> {
    let (width, half) = (size.width as usize, size.width.div_ceil(2) as usize);
    Picture::new(
        size,
        [&planes[0], &planes[1], &planes[2]],
        [width, half, half],
    )
    .expect("the planes are as long as they should be")
}

fn luma(canvas: &Canvas, x: u32, y: u32) -> u8 {
    canvas.planes()[0][(y * canvas.size().width + x) as usize]
}

#[test]
fn colours_are_those_of_the_standard() {
    assert_eq!(Colour::of_rgb(0, 0, 0), Colour::BLACK);
    assert_eq!(
        Colour::of_rgb(255, 255, 255),
        Colour {
            y: 235,
            u: 128,
            v: 128
        }
    );
    // ITU-R BT.601, 75 % bars aside: full red, green and blue.
    assert_eq!(
        Colour::of_rgb(255, 0, 0),
        Colour {
            y: 81,
            u: 90,
            v: 240
        }
    );
    assert_eq!(
        Colour::of_rgb(0, 255, 0),
        Colour {
            y: 145,
            u: 54,
            v: 34
        }
    );
    assert_eq!(
        Colour::of_rgb(0, 0, 255),
        Colour {
            y: 41,
            u: 240,
            v: 110
        }
    );
}

#[test]
fn a_fill_stays_in_its_area() {
    let mut canvas = Canvas::new(VideoSize::new(64, 32), Colour::BLACK);
    canvas.fill(area(16, 8, 8, 4), RED);
    let red = canvas.planes().map(|plane| {
        plane
            .iter()
            .filter(|byte| ![16, 128].contains(*byte))
            .count()
    });
    assert_eq!(red, [32, 8, 8]);
    assert_eq!(
        (
            luma(&canvas, 15, 8),
            luma(&canvas, 16, 8),
            luma(&canvas, 23, 11),
            luma(&canvas, 24, 11)
        ),
        (16, 63, 63, 16)
    );
    let before = canvas.clone();
    canvas.fill(area(64, 0, 8, 8), RED);
    canvas.fill(area(0, 40, 8, 8), RED);
    assert_eq!(canvas, before, "what is beside the canvas changes nothing");
    canvas.fill(area(60, 30, 100, 100), RED);
    assert_eq!(
        luma(&canvas, 63, 31),
        63,
        "what reaches over its edge is cut off there"
    );
}

#[test]
fn a_picture_of_the_cells_size_is_copied_as_it_is() {
    let size = VideoSize::new(32, 16);
    let planes = slope(size);
    let mut canvas = Canvas::new(VideoSize::new(64, 32), Colour::BLACK);
    canvas.draw(
        &picture(size, &planes),
        area(0, 0, 32, 16),
        area(8, 4, 32, 16),
        &mut Scaler::default(),
    );
    for y in 0..16 {
        for x in 0..32 {
            assert_eq!(
                luma(&canvas, 8 + x, 4 + y),
                planes[0][(y * 32 + x) as usize]
            );
        }
    }
    assert_eq!((luma(&canvas, 7, 4), luma(&canvas, 40, 4)), (16, 16));
}

/// A slope is a slope in any size: every pixel is where it should be, to within the rounding.
#[test]
fn scaling_moves_nothing() {
    let mut scaler = Scaler::default();
    let size = VideoSize::new(640, 360);
    let planes = slope(size);
    for (width, height) in [
        (628, 352),
        (320, 180),
        (1280, 720),
        (212, 118),
        (96, 54),
        (640, 100),
        (50, 360),
        (24, 14),
    ] {
        let mut canvas = Canvas::new(VideoSize::new(width, height), Colour::BLACK);
        canvas.draw(
            &picture(size, &planes),
            area(0, 0, 640, 360),
            area(0, 0, width, height),
            &mut scaler,
        );
        for x in 0..width {
            let expected = (f64::from(x) + 0.5) * 220.0 / f64::from(width) + 16.0;
            let seen = f64::from(luma(&canvas, x, height / 2));
            assert!(
                (seen - expected).abs() <= 2.0,
                "{width}×{height} at {x}: {seen}, not {expected}"
            );
        }
        for y in 0..height / 2 {
            let at = y * (width / 2) + width / 4;
            let expected = (f64::from(y) + 0.5) * 220.0 / f64::from(height / 2) + 16.0;
            let seen = f64::from(canvas.planes()[1][at as usize]);
            assert!(
                (seen - expected).abs() <= 2.0,
                "{width}×{height} at line {y}: {seen}, not {expected}"
            );
        }
    }
}

/// One bright pixel in nine is still a third of that brightness in a picture a third the size.
#[test]
fn no_pixel_is_left_out_when_a_picture_shrinks() {
    let size = VideoSize::new(512, 512);
    let mut planes = slope(size);
    for (at, luma) in planes[0].iter_mut().enumerate() {
        *luma = if at % 4 == 0 && at / 512 % 4 == 0 {
            235
        } else {
            16
        };
    }
    let mut canvas = Canvas::new(VideoSize::new(64, 64), Colour::BLACK);
    canvas.draw(
        &picture(size, &planes),
        area(0, 0, 512, 512),
        area(0, 0, 64, 64),
        &mut Scaler::default(),
    );
    let mean = canvas.planes()[0]
        .iter()
        .map(|byte| u64::from(*byte))
        .sum::<u64>()
        / (64 * 64);
    assert!((28..=32).contains(&mean), "{mean}, not 16 + 219 / 16");
}

#[test]
fn what_is_no_picture_is_none() {
    let bytes = [0u8; 100];
    let new =
        |width, height, strides| Picture::new(VideoSize::new(width, height), [&bytes; 3], strides);
    assert!(new(10, 10, [10, 5, 5]).is_some());
    assert!(new(10, 11, [10, 5, 5]).is_none(), "too short");
    assert!(
        new(10, 10, [9, 5, 5]).is_none(),
        "lines longer than their stride"
    );
    assert!(new(0, 10, [10, 5, 5]).is_none() && new(10, 0, [10, 5, 5]).is_none());
    assert!(new(u32::MAX, u32::MAX, [usize::MAX; 3]).is_none());
}

proptest! {
    #[test]
    fn drawing_changes_nothing_outside_its_area(
        (width, height) in (1u32..200, 1u32..200),
        (x, y, across, down) in (0u32..120, 0u32..120, 0u32..120, 0u32..120),
        (left, top, taken_width, taken_height) in (0u32..210, 0u32..210, 0u32..210, 0u32..210),
    ) {
        let size = VideoSize::new(width, height);
        let planes = slope(size);
        let mut canvas = Canvas::new(VideoSize::new(160, 120), Colour { y: 1, u: 2, v: 3 });
        let to = area(x, y, across, down);
        canvas.draw(&picture(size, &planes), area(left, top, taken_width, taken_height), to, &mut Scaler::default());
        for at_y in 0..120 {
            for at_x in 0..160 {
                let inside = at_x >= x && at_x < x + across && at_y >= y && at_y < y + down;
                if !inside {
                    prop_assert_eq!(luma(&canvas, at_x, at_y), 1);
                }
            }
        }
    }
}

proptest! {
    /// Of noise, where a pixel that comes from elsewhere is another one. Positions are to 1/128 of a pixel.
    #[test]
    fn a_scaled_pixel_is_what_lies_between_the_four_around_its_place(
        (width, height) in (1u32..150, 1u32..150),
        (across, down) in (1u32..80, 1u32..80),
        seed in any::<u32>(),
    ) {
        let (across, down) = (2 * across, 2 * down);
        // Neither halved nor cut.
        prop_assume!(width < 2 * across || height < 2 * down);
        prop_assume!(width < across || height < down || width - across > across / 50);
        let size = VideoSize::new(width, height);
        let mut random = seed;
        let noise = slope(size).map(|plane| {
            let of_it = |_| {
                random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (random >> 24) as u8
            };
            plane.iter().map(of_it).collect()
        });
        let mut canvas = Canvas::new(VideoSize::new(across, down), Colour::BLACK);
        let all = area(0, 0, across, down);
        canvas.draw(&picture(size, &noise), area(0, 0, width, height), all, &mut Scaler::default());
        let place = |at: u32, from: u32, into: u32| {
            let place = (f64::from(at) + 0.5) * f64::from(from) / f64::from(into) - 0.5;
            let place = place.clamp(0.0, f64::from(from - 1));
            let before = place as u32;
            (before, (before + 1).min(from - 1), place.fract())
        };
        for y in 0..down {
            let (above, below, lower) = place(y, height, down);
            for x in 0..across {
                let (left, right, other) = place(x, width, across);
                let at = |x: u32, y: u32| f64::from(noise[0][(y * width + x) as usize]);
                let between = |y| at(left, y) * (1.0 - other) + at(right, y) * other;
                let expected = between(above) * (1.0 - lower) + between(below) * lower;
                let seen = f64::from(luma(&canvas, x, y));
                prop_assert!((seen - expected).abs() <= 6.0, "{seen} at {x}, {y}, not {expected}");
            }
        }
    }
}

#[test]
fn what_is_copied_out_of_an_area_goes_back_into_it() {
    let size = VideoSize::new(64, 36);
    let mut canvas = Canvas::new(size, Colour::BLACK);
    let planes = slope(size);
    canvas.draw(
        &picture(size, &planes),
        Area::of(size),
        Area::of(size),
        &mut Scaler::default(),
    );
    for part in [
        area(0, 0, 64, 36),
        area(10, 8, 22, 6),
        area(60, 30, 40, 40),
        area(80, 2, 4, 4),
    ] {
        let before = canvas.clone();
        let mut copy = vec![1; 9];
        canvas.copy_out(part, &mut copy);
        canvas.fill(part, RED);
        canvas.copy_in(part, &copy);
        assert!(canvas == before, "{part:?}");
    }
    let before = canvas.clone();
    canvas.copy_in(area(0, 0, 8, 8), &[]);
    assert!(canvas == before, "nothing to put back");
}

#[test]
fn an_image_is_made_smaller_in_its_proportions_and_never_larger() {
    let mut image = Image::new(VideoSize::new(40, 20));
    for (index, pixel) in image.rgba.chunks_exact_mut(4).enumerate() {
        // White on the left half, nothing on the right one.
        let left = index % 40 < 20;
        pixel.copy_from_slice(if left { &[255; 4] } else { &[9, 9, 9, 0] });
    }
    let most = |width, height| image.shrunk(VideoSize::new(width, height));
    assert_eq!(most(80, 80).as_ref(), Some(&image));
    let smaller = most(8, 80).expect("eight by four");
    assert_eq!(smaller.size, VideoSize::new(8, 4));
    for (index, pixel) in smaller.rgba.chunks_exact(4).enumerate() {
        let expected = if index % 8 < 4 { [255; 4] } else { [0; 4] };
        assert_eq!(pixel, expected, "{index}");
    }
    assert_eq!(
        most(80, 3).map(|image| image.size),
        Some(VideoSize::new(6, 3))
    );
    assert_eq!(most(1, 80), None, "too flat to be seen");
    assert_eq!(most(0, 0), None);
    let lying = Image {
        size: VideoSize::new(100, 100),
        rgba: vec![0; 40],
    };
    assert_eq!(lying.shrunk(VideoSize::new(10, 10)), None);
}

proptest! {
    #[test]
    fn no_image_of_any_size_is_too_large_for_its_place(width in 1u32..300, height in 1u32..300, most_width in 0u32..80, most_height in 0u32..80) {
        let image = Image::new(VideoSize::new(width, height));
        if let Some(smaller) = image.shrunk(VideoSize::new(most_width, most_height)) {
            prop_assert!(smaller.size.width <= most_width && smaller.size.height <= most_height);
            prop_assert_eq!(smaller.rgba.len() as u64, smaller.size.pixels() * 4);
        }
    }
}
