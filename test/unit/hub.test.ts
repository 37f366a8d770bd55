/** Open streams: bounded together and by caller, so that no caller takes them all. */
import { expect, test } from 'vitest'
import { limits } from '../../src/core/limits.ts'
import { Hub, type Listener } from '../../src/mcp/hub.ts'

const listener = (owner: string): Listener => ({
  view: '',
  owner,
  changed: () => undefined,
  updated: () => undefined,
  close: () => undefined,
})
const fill = (hub: Hub, owner: string): (() => void)[] =>
  Array.from({ length: limits.streamsPerCaller }, () => hub.add(listener(owner)))

test('one caller cannot take the streams of others, and has places again when its own end', () => {
  const hub = new Hub()
  const [first] = fill(hub, 'greedy')
  expect(() => hub.add(listener('greedy'))).toThrow(expect.objectContaining({ code: 'overloaded' }))
  hub.add(listener('other'))
  first?.()
  first?.()
  hub.add(listener('greedy'))
  expect(() => hub.add(listener('greedy'))).toThrow(expect.objectContaining({ code: 'overloaded' }))
})

test('all callers together are bounded, too', () => {
  const hub = new Hub()
  for (let caller = 0; hub.size < limits.streamsOpen; caller++) fill(hub, `caller ${caller}`)
  expect(() => hub.add(listener('one more'))).toThrow(expect.objectContaining({ code: 'overloaded' }))
})
