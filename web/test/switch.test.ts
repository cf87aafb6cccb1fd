import { expect, test } from 'vitest'
import { Switch } from '../src/call/switch'

/** A device that changes when it is told to, and counts how often. */
function device(first: boolean) {
  let on = false
  let let_go: (() => void)[] = []
  const changes: boolean[] = []
  const failures: unknown[] = []
  let broken = false
  const made = new Switch(first, {
    actual: () => on,
    change: async (to) => {
      changes.push(to)
      await new Promise<void>((done) => let_go.push(done))
      if (broken) throw new Error('broken')
      on = to
    },
    failed: (thrown) => failures.push(thrown),
  })
  return {
    made,
    changes,
    failures,
    break: () => (broken = true),
    fromOutside: (to: boolean) => (on = to),
    /** Lets the change that is under way finish, and what follows from it. */
    finish: async () => {
      const waiting = let_go
      let_go = []
      for (const go of waiting) go()
      for (let turn = 0; turn < 10; turn += 1) await Promise.resolve()
    },
  }
}

test('before the start it shows what is wanted and touches nothing', async () => {
  const camera = device(true)
  await camera.made.want(false)
  await camera.made.want(true)
  expect(camera.made.on.value).toBe(true)
  expect(camera.changes).toEqual([])
})

test('the start makes what was wanted true', async () => {
  const camera = device(true)
  const done = camera.made.start()
  await camera.finish()
  await done
  expect(camera.changes).toEqual([true])
  expect(camera.made.on.value).toBe(true)
})

test('of several presses during a change only the last counts', async () => {
  const camera = device(true)
  const done = camera.made.start()
  void camera.made.want(false)
  void camera.made.want(true)
  void camera.made.want(false)
  expect(camera.made.on.value).toBe(false)
  await camera.finish()
  await camera.finish()
  await done
  expect(camera.changes).toEqual([true, false])
  expect(camera.made.on.value).toBe(false)
})

test('a change that fails is said once and shows the truth', async () => {
  const camera = device(true)
  camera.break()
  const done = camera.made.start()
  await camera.finish()
  await done
  expect(camera.failures).toHaveLength(1)
  expect(camera.made.on.value).toBe(false)
})

test('what others change shows when it is looked at', async () => {
  const camera = device(false)
  await camera.made.start()
  camera.fromOutside(true)
  camera.made.look()
  expect(camera.made.on.value).toBe(true)
})
