import { expect, test } from 'vitest'
import { gridLayout, type Area } from '../src/call/layout'

const DESKTOP: Area = { width: 1100, height: 640 }
const PHONE: Area = { width: 360, height: 560 }

function fits(count: number, area: Area) {
  const { columns, rows, tile, perPage } = gridLayout(count, area, 10)
  expect(columns * tile.width + (columns - 1) * 10).toBeLessThanOrEqual(area.width)
  expect(rows * tile.height + (rows - 1) * 10).toBeLessThanOrEqual(area.height)
  expect(columns * rows).toBeGreaterThanOrEqual(perPage)
}

test('tiles never leave the stage', () => {
  for (const area of [DESKTOP, PHONE, { width: 300, height: 200 }]) for (let count = 1; count <= 40; count += 1) fits(count, area)
})

test('two people stand side by side on a desk and one above the other on a phone', () => {
  expect(gridLayout(2, DESKTOP, 10)).toMatchObject({ columns: 2, rows: 1 })
  expect(gridLayout(2, PHONE, 10)).toMatchObject({ columns: 1, rows: 2 })
})

test('one picture keeps the shape of a camera', () => {
  const { tile } = gridLayout(1, { width: 2000, height: 500 }, 10)
  expect(tile.width / tile.height).toBeCloseTo(16 / 9, 1)
})

test('a crowd is shown in pages of tiles that can be recognised', () => {
  const { perPage, tile } = gridLayout(60, PHONE, 10)
  expect(perPage).toBeLessThan(60)
  expect(tile.width).toBeGreaterThanOrEqual(128)
  expect(gridLayout(20, DESKTOP, 10).perPage).toBe(20)
})

test('no room at all still gives one tile, of no size', () => {
  expect(gridLayout(3, { width: 0, height: 0 }, 10)).toMatchObject({ perPage: 1, tile: { width: 0, height: 0 } })
  expect(gridLayout(0, DESKTOP, 10).perPage).toBe(1)
})
