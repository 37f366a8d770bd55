/** Months of the calendar in UTC, as `2026-11`. */

/** The month that a moment (milliseconds since the Unix epoch) lies in. */
export const monthOf = (ms: number): string => new Date(ms).toISOString().slice(0, -17)

/** Its first moment. */
export const monthStart = (month: string): number => Date.parse(`${month}-01T00:00:00Z`)

/** The first moment after it. */
export const monthEnd = (month: string): number => {
  const start = new Date(monthStart(month))
  return start.setUTCMonth(start.getUTCMonth() + 1)
}

/** Whether this is a month, written as it is here. */
export const isMonth = (text: string): boolean => /^\d{4}-(?:0[1-9]|1[0-2])$/.test(text)
