/** The chain: the same hash however the bytes are cut, and one that no other bytes have. */
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ChainReader, firstHash, nextHash, sealLine, tagOf, tagOfLine, tagsIn } from '../../../src/meter/chain.ts'
import { beginLine, namesText } from '../../../src/meter/line.ts'
import { ann, getPet } from './parts.ts'

const id = '01a20cff-7d00-7343-954f-f1372549015d'
const line = (at: number) => beginLine(id, at, namesText(ann, getPet))

/** A segment of groups of so many lines, sealed but for the last group. */
const segment = (name: string, groups: readonly number[]) => {
  let hash = firstHash(name)
  let sealedAt = 0
  let text = ''
  for (const [index, count] of groups.entries()) {
    const lines = Array.from({ length: count }, (_, at) => line(at)).join('')
    text += lines
    if (index === groups.length - 1) break
    hash = nextHash(hash, lines, false)
    text += sealLine(hash, tagOfLine(line(0)).repeat(count), false)
    sealedAt = text.length
  }
  return { bytes: Buffer.from(text), sealed: hash, sealedAt, rest: text.slice(sealedAt) }
}

describe('reading the chain', () => {
  test('gives one hash, wherever lines are cut into pieces and reading is taken up again', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(5), { minLength: 1 }), fc.array(fc.nat()), (groups, cuts) => {
        const { bytes, sealed, sealedAt, rest } = segment('s', groups)
        const hash = rest === '' ? sealed : nextHash(sealed, rest, false)
        const ends = [...bytes.toString().matchAll(/\n/g)].map(({ index }) => index + 1)
        const places = [...new Set(cuts.map((cut) => ends[cut % ends.length] ?? 0))].toSorted((a, b) => a - b)
        let reader = new ChainReader('s')
        let start = 0
        for (const place of [...places, bytes.length]) {
          reader.push(bytes.subarray(start, place))
          start = place
          const { state } = reader
          reader = new ChainReader('s', state)
          reader.push(bytes.subarray(state.sealedAt, place))
          expect(reader.state).toEqual(state)
        }
        expect(reader.state).toEqual({ sealedAt, sealed, hash })
      }),
    )
  })

  test('depends on the segment’s name', () => {
    const { bytes } = segment('s', [2])
    const hashes = ['s', 't'].map((name) => {
      const reader = new ChainReader(name)
      reader.push(bytes)
      return reader.state.hash
    })
    expect(new Set(hashes).size).toBe(2)
  })
})

test('a seal lists its lines by their ids and lengths', () => {
  expect(tagOf(id, line(7))).toBe(tagOfLine(line(7)))
  expect(tagOfLine('{"s":{}}\n')).toBe('----009')
  expect(tagsIn(tagOfLine(line(7)) + tagOfLine(line(1_000)))).toEqual([tagOfLine(line(7)), tagOfLine(line(1_000))])
  expect(tagOf(id, line(7))).not.toBe(tagOf(id, line(10)))
})
