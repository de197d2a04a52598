import ms from "ms";

/** What a visitor reads; `uptime` in milliseconds. */
export function greeting(name: string, uptime: number): string {
  const who = name.trim() || "stranger";
  return `hello, ${who}; up for ${ms(uptime, { long: true })}\n`;
}
