// Tells the script of the ink each time the pen goes up: what this stands in, a fragment or the page, then runs again.

export default function ({ setTriggerValue }) {
  const tell = ({ detail }) => setTriggerValue("pen_up", detail);
  document.addEventListener("pen-up", tell);
  return () => document.removeEventListener("pen-up", tell);
}
