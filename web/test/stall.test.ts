import { expect, test } from 'vitest'
import { Stall } from '../src/watch/stall'

test('a picture that stands is shown to stand after half a second, and not before', () => {
  const stall = new Stall(1_000)
  expect(stall.isShown(1_000)).toBe(false)
  expect(stall.isShown(1_500)).toBe(false)
  expect(stall.isShown(1_501)).toBe(true)
  stall.ended()
  expect(stall.isShown(9_000)).toBe(false)
})

test('a stall lasts from when it began, however often it is told', () => {
  const stall = new Stall(0)
  stall.ended()
  expect(stall.lastedMs(5_000)).toBe(0)
  stall.began(5_000)
  stall.began(5_400)
  expect(stall.lastedMs(5_600)).toBe(600)
  expect(stall.isShown(5_600)).toBe(true)
})
