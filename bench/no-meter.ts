/** A meter that records nothing: what metering costs is measured against it, and nothing else uses it. */
import type { Meter } from '../src/meter/meter.ts'

const done = Promise.resolve()
let calls = 0

export const createMeter = (): Meter => ({
  healthy: true,
  begin: () => Promise.resolve({ id: `unmetered-${++calls}`, end: () => done }),
  note: () => done,
  close: () => done,
})
