const search = document.querySelector("input[type=search]");

search?.addEventListener("input", () => {
  const wanted = search.value.toLowerCase();
  for (const note of document.querySelectorAll("li")) {
    note.hidden = !note.textContent.toLowerCase().includes(wanted);
  }
});
