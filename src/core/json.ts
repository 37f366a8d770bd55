/** Looks at JSON text before it is parsed. */

/** Whether objects and arrays are nested deeper than `depth`. One pass, no stack: text that is no JSON is no matter. */
export function nestsDeeper(text: string, depth: number): boolean {
  let open = 0
  for (let index = 0; index < text.length; index++) {
    const char = text.charCodeAt(index)
    if (char === quote) index = endOfString(text, index)
    else if (char === brace || char === bracket) {
      if (++open > depth) return true
    } else if (char === brace + 2 || char === bracket + 2) open--
  }
  return false
}

const quote = 0x22
const brace = 0x7b
const bracket = 0x5b

function endOfString(text: string, start: number): number {
  for (let end = text.indexOf('"', start + 1); end >= 0; end = text.indexOf('"', end + 1)) {
    let slashes = 0
    while (text.charCodeAt(end - 1 - slashes) === 0x5c) slashes++
    if (slashes % 2 === 0) return end
  }
  return text.length
}
