/** How tiles share the stage. */

export interface Area {
  width: number
  height: number
}

export interface Layout {
  columns: number
  rows: number
  tile: Area
  /** How many tiles one page shows. */
  perPage: number
}

/** A tile is never wider than a wide camera; narrower than square only on an upright stage, as phones have. */
const ASPECT_MAX = 16 / 9
const ASPECT_MIN_WIDE = 1
const ASPECT_MIN_UPRIGHT = 3 / 4
/** Below this a face is no longer recognised, and a name no longer fits. */
const TILE_WIDTH_MIN = 128
const TILE_HEIGHT_MIN = 84

/** The grid in which `count` tiles are as large as they can be in `area`, with `gap` px between them.
 *
 * When they would be too small, the largest number that fits makes a page. */
export function gridLayout(count: number, area: Area, gap: number): Layout {
  for (let shown = Math.max(1, count); shown > 1; shown -= 1) {
    const layout = best(shown, area, gap)
    if (layout.tile.width >= TILE_WIDTH_MIN && layout.tile.height >= TILE_HEIGHT_MIN) return layout
  }
  return best(1, area, gap)
}

function best(count: number, area: Area, gap: number): Layout {
  const aspectMin = area.height > area.width ? ASPECT_MIN_UPRIGHT : ASPECT_MIN_WIDE
  let found: Layout | null = null
  for (let columns = 1; columns <= count; columns += 1) {
    const rows = Math.ceil(count / columns)
    const cell = {
      width: Math.max(0, (area.width - gap * (columns - 1)) / columns),
      height: Math.max(0, (area.height - gap * (rows - 1)) / rows),
    }
    const tile = {
      width: Math.floor(Math.min(cell.width, cell.height * ASPECT_MAX)),
      height: Math.floor(Math.min(cell.height, cell.width / aspectMin)),
    }
    if (!found || tile.width * tile.height > found.tile.width * found.tile.height) {
      found = { columns, rows, tile, perPage: count }
    }
  }
  return found ?? { columns: 1, rows: 1, tile: area, perPage: 1 }
}
