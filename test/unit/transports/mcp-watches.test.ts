/** Resources that callers watch: bounded for each, and over with their target. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { limits } from '../../../src/core/limits.ts'
import {
  ann,
  delivery,
  type ModernServer,
  openRoom,
  request,
  type Room,
  startModern,
  targetAt,
  until,
} from './mcp-support.ts'

let server: ModernServer
let room: Room
beforeEach(async () => {
  server = await startModern()
  room = openRoom()
})
afterEach(async () => {
  await room.close()
  await server.close()
})

/** Each value of a header that goes on has a connection of its own. */
const subscribe = async (subject: string, header = ''): Promise<unknown> => {
  const target = targetAt(server.url)
  const sent = request(target, 'resources/subscribe', { uri: 'note://one' }, [['x-tenant', header]])
  return room.transport(target).send(sent, delivery({ caller: { ...ann, subject } }))
}

describe('what is watched', () => {
  it('is over with its target', async () => {
    await subscribe('ann')
    server.update('note://one')
    await until(() => room.updated.length === 1)
    room.upstreams.keep(new Set(['another']))
    await subscribe('bob')
    server.update('note://one')
    await until(() => room.updated.length > 1)
    expect(room.updated.slice(1)).toEqual(['up note://one bob'])
  })

  it('is bounded for each caller, and nobody else is kept from watching', async () => {
    for (let index = 0; index < limits.mcpWatchesPerCaller; index++) await subscribe('ann', String(index))
    await expect(subscribe('ann', 'one more')).rejects.toMatchObject({ code: 'overloaded' })
    await subscribe('ann', '0')
    await subscribe('bob')
    server.update('note://one')
    await until(() => room.updated.length > limits.mcpWatchesPerCaller)
    expect(room.updated).toHaveLength(limits.mcpWatchesPerCaller + 1)
  })
})
