import { expect, test } from 'vitest'
import { nextSpeed, speedInWords } from '../src/watch/speed'

test('a speed has a next one on both sides, up to the ends', () => {
  expect(nextSpeed(1, 'faster')).toBe(1.25)
  expect(nextSpeed(1, 'slower')).toBe(0.75)
  expect(nextSpeed(2, 'faster')).toBe(2)
  expect(nextSpeed(0.5, 'slower')).toBe(0.5)
  // By other means it may be any.
  expect(nextSpeed(1.1, 'slower')).toBe(1)
  expect(nextSpeed(3, 'faster')).toBe(3)
  expect(speedInWords(1.25)).toBe('1.25×')
})
