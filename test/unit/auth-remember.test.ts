import { describe, expect, it } from 'vitest'
import { RememberedTokens } from '../../src/auth/remember.ts'
import { type Clock, systemClock } from '../../src/core/clock.ts'
import { limits } from '../../src/core/limits.ts'
import type { Principal } from '../../src/core/model.ts'

const caller = (subject: string): Principal => ({ tenant: 'default', subject, client: '', scopes: new Set() })

function setup(max?: number) {
  const time = { now: 1_000_000, monotonic: 0 }
  const clock: Clock = { ...systemClock, now: () => time.now, monotonic: () => time.monotonic }
  return { time, tokens: new RememberedTokens(clock, max) }
}

const always = (): boolean => true

describe('a remembered token', () => {
  it('gives the same principal, at once', () => {
    const { tokens } = setup()
    const alice = caller('alice')
    tokens.put('token', alice, 2_000_000, always)
    expect(tokens.get('token')).toBe(alice)
    expect(tokens.get('token2')).toBeUndefined()
  })

  it('is forgotten when it ends', () => {
    const { time, tokens } = setup()
    tokens.put('token', caller('alice'), 1_000_001, always)
    expect(tokens.get('token')).toBeDefined()
    time.now = 1_000_001
    expect(tokens.get('token')).toBeUndefined()
    time.now = 1_000_000
    expect(tokens.get('token')).toBeUndefined()
  })

  it('is verified again after a while, however far its end and whatever the wall clock says', () => {
    const { time, tokens } = setup()
    tokens.put('token', caller('alice'), Number.MAX_SAFE_INTEGER, always)
    time.monotonic = limits.callerTokenRememberMs - 1
    expect(tokens.get('token')).toBeDefined()
    time.monotonic += 1
    time.now = 0
    expect(tokens.get('token')).toBeUndefined()
  })

  it('is forgotten when its key is', () => {
    const { tokens } = setup()
    let published = true
    tokens.put('token', caller('alice'), 2_000_000, () => published)
    expect(tokens.get('token')).toBeDefined()
    published = false
    expect(tokens.get('token')).toBeUndefined()
    expect(tokens.size).toBe(0)
  })

  it('makes room for others when it was not seen for longest', () => {
    const { tokens } = setup(2)
    for (const name of ['a', 'b']) tokens.put(name, caller(name), 2_000_000, always)
    tokens.get('a')
    tokens.put('c', caller('c'), 2_000_000, always)
    expect(['a', 'b', 'c'].map((name) => tokens.get(name)?.subject)).toEqual(['a', undefined, 'c'])
    expect(tokens.size).toBe(2)
  })

  it('does not grow the store when it comes again', () => {
    const { tokens } = setup(2)
    for (const subject of ['x', 'y', 'z']) tokens.put('token', caller(subject), 2_000_000, always)
    expect(tokens.size).toBe(1)
    expect(tokens.get('token')?.subject).toBe('z')
  })
})
