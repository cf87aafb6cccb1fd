import { expect, test } from 'vitest'
import { Calm, morePerStall } from '../src/watch/calm'

test('after a while without a stall it is long enough, and then it takes twice as long', () => {
  const calm = new Calm(1_000)
  expect(calm.isLongEnough(15_999)).toBe(false)
  expect(calm.isLongEnough(16_000)).toBe(true)
  expect(calm.isLongEnough(16_001)).toBe(false)
  expect(calm.isLongEnough(45_999)).toBe(false)
  expect(calm.isLongEnough(46_000)).toBe(true)
})

test('a stall begins the while anew', () => {
  const calm = new Calm(0)
  calm.stalled(14_000)
  expect(calm.isLongEnough(28_999)).toBe(false)
  expect(calm.isLongEnough(29_000)).toBe(true)
})

test('it never takes longer than four minutes', () => {
  const calm = new Calm(0)
  let now = 0
  for (let times = 0; times < 20; times += 1) {
    now += 240_000
    expect(calm.isLongEnough(now)).toBe(true)
  }
})

test('one stall costs a part, a second one the segment, and without parts the first one too', () => {
  expect(morePerStall(1, 0.334, 1)).toBe(0.334)
  expect(morePerStall(2, 0.334, 1)).toBe(1)
  expect(morePerStall(1, 0, 2)).toBe(2)
})
