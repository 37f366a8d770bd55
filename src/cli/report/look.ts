/** How a report looks where it is printed: as wide as a terminal and coloured there, one line a thing in a pipe. */
import type { WriteStream } from 'node:tty'
import { styleText } from 'node:util'

type Style = 'bold' | 'dim' | 'red' | 'yellow' | 'green'

export interface Look {
  /** Characters a line; infinite in a pipe. */
  readonly width: number
  readonly paint: (style: Style, text: string) => string
}

const narrowest = 80
const widest = 120

/** The look of a stream; colours follow `NO_COLOR` and its kin, as Node.js has it. */
export const lookOf = (stream: WriteStream): Look => ({
  width: stream.isTTY ? Math.min(Math.max(stream.columns, narrowest), widest) : Infinity,
  paint: (style, text) => styleText(style, text, { stream }),
})

/** Text of strangers without what a terminal would obey. */
export const printable = (text: string): string =>
  text.replace(
    /[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]/gu,
    (char) => `\\u${(char.codePointAt(0) ?? 0).toString(16).padStart(4, '0')}`,
  )

/** Breaks a text at spaces so that it stands `indent` deep within the width. */
export function wrap(text: string, indent: number, look: Look, style?: Style): string {
  const room = Math.max(look.width - indent, 20)
  const lines: string[] = []
  let line = ''
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > room) {
      lines.push(line)
      line = word
    } else line = line === '' ? word : `${line} ${word}`
  }
  return [...lines, line]
    .map((one) => `${' '.repeat(indent)}${style === undefined ? one : look.paint(style, one)}\n`)
    .join('')
}

export const number = (value: number): string => value.toLocaleString('en-US')

/** `3 tools`, `1 tool`, `no tools`. */
export const count = (value: number, what: string): string =>
  `${value === 0 ? 'no' : number(value)} ${value === 1 ? what : `${what}s`}`
